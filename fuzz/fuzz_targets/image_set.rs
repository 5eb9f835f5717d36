//! Any text as the values of a hub: a set or an error, never a panic; what the set says holds together.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perijove_prepull::{Options, ValuesFile, image_set};

fuzz_target!(|text: &str| {
    // A line of equal signs begins the next file.
    let files: Vec<ValuesFile> = text.split("\n=====\n").map(|part| ValuesFile::new("values.yaml", part)).collect();
    let Ok(set) = image_set(&files, &Options::default()) else { return };
    for image in &set.images {
        assert_eq!(image.sources.len(), image.places.len());
        assert!(image.groups.iter().all(|group| set.groups[*group].images.contains(&image.image)));
    }
    assert!(set.groups.iter().all(|group| !group.images.is_empty()));
});
