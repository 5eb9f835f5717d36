//! Lock files: Debian packages, Python wheels, npm packages.
