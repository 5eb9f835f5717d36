//! Which container of a puller stands for which image.

use super::model::PodSpec;

/// The init container that brings the `noop`: it stands for no image of a user.
pub const INSTALL: &str = "install";

/// A container, and the image that it is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerImage {
    /// The container's name.
    pub container: Box<str>,
    /// The image as it is written.
    pub image: Box<str>,
    /// Whether it runs before the others and ends: then the image was there when it has ended well.
    pub init: bool,
}

/// The images that a puller's pod brings, in its order:
///
/// - a container that mounts a volume made of an image stands for that image, whatever it runs;
/// - any other container stands for its own image;
/// - init containers count the same (pullers of Zero to JupyterHub have one for each image), but not `install`.
pub fn images_of(spec: &PodSpec) -> Vec<ContainerImage> {
    let init = spec.init_containers.iter().filter(|c| &*c.name != INSTALL).map(|c| (c, true));
    let main = spec.containers.iter().map(|c| (c, false));
    let all = init.chain(main).map(|(container, init)| {
        let mounted = container.volume_mounts.iter().find_map(|mount| {
            spec.volumes.iter().find(|v| v.name == mount.name).and_then(|v| v.image.as_ref())
        });
        ContainerImage {
            container: container.name.clone(),
            image: mounted.map_or_else(|| container.image.clone(), |volume| volume.reference.clone()),
            init,
        }
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spec: serde_json::Value) -> Vec<String> {
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        images_of(&spec).iter().map(|one| format!("{}={} {}", one.container, one.image, one.init)).collect()
    }

    #[test]
    fn reads_every_form_of_a_puller() {
        let volumes = serde_json::json!({
            "containers": [
                {"name": "image-0", "image": "own/await:1", "volumeMounts": [{"name": "image-0", "mountPath": "/image"}]},
                {"name": "image-1", "image": "own/await:1", "volumeMounts": [
                    {"name": "tmp", "mountPath": "/tmp"}, {"name": "image-1", "mountPath": "/image"}]},
            ],
            "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "image-0", "image": {"reference": "a:1"}}, {"name": "image-1", "image": {"reference": "b:1"}},
            ],
        });
        assert_eq!(read(volumes), ["image-0=a:1 false", "image-1=b:1 false"]);
        let noop = serde_json::json!({
            "initContainers": [{"name": "install", "image": "own/await:1"}],
            "containers": [{"name": "image-0", "image": "a:1", "volumeMounts": [{"name": "perijove"}]}],
            "volumes": [{"name": "perijove", "emptyDir": {}}],
        });
        assert_eq!(read(noop), ["image-0=a:1 false"]);
        let zero_to_jupyterhub = serde_json::json!({
            "initContainers": [{"name": "image-pull-singleuser", "image": "a:1"}, {"name": "b", "image": "b:1"}],
            "containers": [{"name": "pause", "image": "pause:3"}], "volumes": null,
        });
        assert_eq!(
            read(zero_to_jupyterhub),
            ["image-pull-singleuser=a:1 true", "b=b:1 true", "pause=pause:3 false"]
        );
    }
}
