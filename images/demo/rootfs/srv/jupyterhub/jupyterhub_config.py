"""JupyterHub as a demonstration: hub, proxy and everyone's server in one container.

Anybody may sign in as anybody, and all of them are one account of the system:
this is for trying JupyterHub out, never for a network that others can reach.
Everything below can be overridden on the command line, as in
`jupyterhub --JupyterHub.bind_url=http://:9000`.
"""

import os
import socket
from functools import partial

from jupyterhub import utils

c = get_config()  # noqa: F821 (JupyterHub defines it)


def free_port():
    """A port nobody listens on: the demo may share the host's network."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# One setting: JupyterHub warns where it finds `ip` or `port` beside it.
c.JupyterHub.bind_url = "http://127.0.0.1:8000"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{free_port()}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{free_port()}"
c.ConfigurableHTTPProxy.command = ["configurable-http-proxy"]
c.ConfigurableHTTPProxy.pid_file = "/tmp/jupyterhub-proxy.pid"

# Nothing outlives the container but what users save under /home; a database
# in memory also spares the migrations at every start.
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.cookie_secret = os.urandom(32)

# JupyterHub asks less and less often whether its proxy and users' servers are up:
# right for thousands of them, a second of waiting for each here.
utils.exponential_backoff = partial(utils.exponential_backoff, scale_factor=1)

c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.admin_users = {"admin"}
# A user name becomes a folder under /home; JupyterHub itself refuses a slash.
c.Authenticator.username_pattern = r"^(?!\.{1,2}$)"

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "/home/{username}"
c.Spawner.cmd = ["jupyterhub-singleuser"]
c.Spawner.default_url = "/lab"
c.Spawner.env_keep = [
    "PATH",
    "LANG",
    "PYTHONPYCACHEPREFIX",
    "TZ",
    "SSL_CERT_FILE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
]

c.JupyterHub.template_vars = {
    "announcement_login": (
        "This is a demonstration: any user name with any password signs in"
        " (<code>admin</code> sees the admin page), and all users share one"
        " account of the system. For trying only: do not put it on a network,"
        " do not keep work in it."
    )
}
