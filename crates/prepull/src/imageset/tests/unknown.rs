//! Code, and what else only running it would tell.

use super::*;

#[test]
fn code_is_read_as_far_as_it_is_plain() {
    for (code, expected, reasons) in [
        ("c.KubeSpawner.image = 'x:1'", &["pool=a: x:1"][..], &[][..]),
        ("c.Spawner.image = 'x:1'\nc.KubeSpawner.image_spec = 'y:1'", &["pool=a: base:1"], &[]),
        ("if x:\n    c.KubeSpawner.image = 'q/x:1'", &["pool=a: base:1 q/x:1"], &[]),
        ("tag = '2'\nc.KubeSpawner.image = f'q/x:{tag}'", &["pool=a: q/x:2"], &[]),
        (
            "c.KubeSpawner.image = os.environ['I']",
            &["pool=a: base:1"],
            &["image from an expression (c.KubeSpawner.image)"],
        ),
        (
            "c.KubeSpawner.node_selector = {'b': 'c'}\nc.KubeSpawner.init_containers.append({'image': 'q/i:1'})",
            &["b=c: base:1 q/i:1"],
            &[],
        ),
        ("c.KubeSpawner.node_selector['b'] = 'c'", &["b=c,pool=a: base:1"], &[]),
        ("c.KubeSpawner.node_selector.update({'b': 'c'})", &["b=c,pool=a: base:1"], &[]),
        ("c.KubeSpawner.extra_containers += [dict(image='q/e:1')]", &["pool=a: base:1 q/e:1"], &[]),
        (
            "more = [{'kubespawner_override': {'image': 'q/p:1', 'node_selector': {'b': 'c'}}}]\nc.KubeSpawner.profile_list = more",
            &["b=c,pool=a: q/p:1"],
            &[],
        ),
        // Profiles appended: the list is empty before.
        (
            "c.KubeSpawner.profile_list.append({'kubespawner_override': {'image': 'q/x:1', 'node_selector': {'b': 'c'}}})",
            &["b=c,pool=a: q/x:1"],
            &[],
        ),
        (
            "c.KubeSpawner.profile_list.extend([{}, {'kubespawner_override': {'image': 'q/x:1'}}])",
            &["pool=a: base:1 q/x:1"],
            &[],
        ),
        (
            "c.KubeSpawner.profile_list.insert(0, {'kubespawner_override': {'image': 'q/x:1'}})",
            &["pool=a: q/x:1"],
            &[],
        ),
        (
            "c.KubeSpawner.profile_list += [{'kubespawner_override': {'image': 'q/x:1'}}]",
            &["pool=a: q/x:1"],
            &[],
        ),
        (
            "MORE = [{'kubespawner_override': {'image': 'q/x:1', 'node_selector': {'b': 'c'}}}]\nc.KubeSpawner.profile_list += MORE",
            &["b=c,pool=a: q/x:1"],
            &[],
        ),
        (
            "if x:\n    c.KubeSpawner.profile_list.append({'kubespawner_override': {'image': 'q/x:1'}})",
            &["pool=a: base:1 q/x:1"],
            &["profile_list replaced by code"],
        ),
        (
            "c.KubeSpawner.profile_list = {}\nc.KubeSpawner.profile_list.append({'kubespawner_override': {'image': 'q/x:1'}})",
            &["pool=a: base:1 q/x:1"],
            &["profile_list replaced by code"],
        ),
        // Names within a value: each image where its own profile lands, not everywhere.
        (
            "cpu = {'kubespawner_override': {'image': 'q/cpu:1'}}\n\
             gpu = {'kubespawner_override': {'image': 'q/gpu:1', 'node_selector': {'g': 'y'}}}\n\
             c.KubeSpawner.profile_list = [cpu, gpu]",
            &["pool=a: q/cpu:1", "g=y,pool=a: q/gpu:1"],
            &[],
        ),
        (
            "a = [{'kubespawner_override': {'image': 'q/cpu:1'}}]\n\
             b = [{'kubespawner_override': {'image': 'q/gpu:1', 'node_selector': {'g': 'y'}}}]\n\
             both = a + b\nc.KubeSpawner.profile_list = both",
            &["pool=a: q/cpu:1", "g=y,pool=a: q/gpu:1"],
            &[],
        ),
        (
            "gpu = {'kubespawner_override': {'image': 'q/gpu:1', 'node_selector': {'g': 'y'}}}\nc.KubeSpawner.profile_list.append(gpu)",
            &["g=y,pool=a: q/gpu:1"],
            &[],
        ),
        // A list that is filled step by step.
        (
            "p = []\np.append({'kubespawner_override': {'image': 'q/x:1', 'node_selector': {'b': 'c'}}})\n\
             p += [{}]\np.extend([{'kubespawner_override': {'image': 'q/y:1'}}])\np = p + [{'slug': 's'}]\n\
             c.KubeSpawner.profile_list = p",
            &["b=c,pool=a: q/x:1", "pool=a: base:1 q/y:1"],
            &[],
        ),
        (
            "p = []\nfor x in y:\n    p.append({'kubespawner_override': {'image': 'q/x:1'}})\nc.KubeSpawner.profile_list = p",
            &["pool=a: base:1 q/x:1"],
            &["profile_list replaced by code"],
        ),
        ("unused = [{'image': 'q/x:1'}]", &["pool=a: base:1 q/x:1"], &[]),
        // All settings at once, and by key.
        (
            "c.KubeSpawner.update({'node_selector': {'b': 'c'}, 'image': 'q/x:1', 'cpu_limit': f()})",
            &["b=c: q/x:1"],
            &[],
        ),
        (
            "c.KubeSpawner.update(image='q/x:1', node_selector=f())",
            &["pool=a: q/x:1"],
            &["node_selector changed by code"],
        ),
        ("c.KubeSpawner.update(settings)", &["pool=a: base:1"], &["settings changed by code"]),
        ("c.KubeSpawner['image'] = 'q/x:1'", &["pool=a: q/x:1"], &[]),
        ("c.KubeSpawner['node_selector']['b'] = 'c'", &["b=c,pool=a: base:1"], &[]),
        // An item of an item: not followed, but the image in it is told.
        (
            "c.KubeSpawner.init_containers['a']['image'] = 'q/x:1'",
            &["pool=a: base:1 q/x:1"],
            &["init_containers changed by code"],
        ),
        ("p['kubespawner_override']['image'] = 'q/x:1'", &["pool=a: base:1 q/x:1"], &[]),
        ("c.JupyterHub.spawner_class = 'kubespawner.spawner.KubeSpawner'", &["pool=a: base:1"], &[]),
        ("c.KubeSpawner.singleuser_extra_container_config = {'image': 'q/x:1'}", &["pool=a: q/x:1"], &[]),
        ("c.KubeSpawner.profile_list = f", &["pool=a: base:1"], &["profile_list replaced by code"]),
        (
            "def h(s, pod):\n  pod.spec.containers.append(V1Container(image='q/h:1'))\nc.KubeSpawner.modify_pod_hook = h",
            &["pool=a: base:1 q/h:1"],
            &["modify_pod_hook may change the pod"],
        ),
        (
            "c.KubeSpawner.modify_pod_hook = None\n# image = 'q/c:1'\ntext = 'q/t:1'\nprint({'image': ''})",
            &["pool=a: base:1"],
            &[],
        ),
        (
            "class S(KubeSpawner):\n  def start(self):\n    self.image = self.x()\n    self.volumes = []\nc.JupyterHub.spawner_class = S",
            &["pool=a: base:1"],
            &["image from an expression (self.image)", "own spawner class", "volumes changed by code"],
        ),
        ("c.JupyterHub.spawner_class = kubespawner.KubeSpawner", &["pool=a: base:1"], &[]),
        (
            "c.KubeSpawner.tolerations.append(t)\nx = {'image': i}",
            &["pool=a: base:1"],
            &["image from an expression (dict)", "tolerations changed by code"],
        ),
        ("c.KubeSpawner.image = get_config('custom.i')", &["pool=a: q/custom:1"], &[]),
        ("c.DockerSpawner.image = 'q/d:1'", &["pool=a: base:1"], &[]),
        ("this is ( not python", &["pool=a: base:1"], &[]),
    ] {
        let values = serde_json::json!({
            "singleuser": {"image": {"name": "base", "tag": "1"}, "nodeSelector": {"pool": "a"}},
            "custom": {"i": "q/custom:1"},
            "hub": {"extraConfig": {"01-x": code}},
        });
        assert_eq!(placed(&values.to_string()), expected, "{code}");
        let reasons: Vec<String> =
            reasons.iter().map(|reason| format!("hub.extraConfig.01-x: {reason}")).collect();
        assert_eq!(unknown(&values.to_string()), reasons, "{code}");
    }
}

/// The hub runs all pieces in one scope, so a name of one may be used in another.
#[test]
fn pieces_of_code_share_their_names() {
    let values = serde_json::json!({
        "singleuser": {"image": {"name": "base", "tag": "1"}},
        "hub": {"extraConfig": {
            "00-list": "profiles = [{'kubespawner_override': {'image': 'q/gpu:1', 'node_selector': {'g': 'y'}}}, {}]",
            "10-use": "c.KubeSpawner.profile_list = profiles",
        }},
    });
    assert_eq!(placed(&values.to_string()), ["g=y: q/gpu:1", ": base:1"]);
}

#[test]
fn code_is_told_with_its_own_line() {
    for (values, line) in [
        ("hub:\n  extraConfig:\n    a: |\n      x = 1\n      c.KubeSpawner.image = 'q/x:1'\n", 5),
        ("hub:\n  extraConfig:\n    a: |-\n\n      c.KubeSpawner.image = 'q/x:1'\n", 5),
        ("hub:\n  extraConfig:\n    a: |2\n      c.KubeSpawner.image = 'q/x:1'\n", 4),
        ("hub:\n  extraConfig:\n    a: >\n      c.KubeSpawner.image = 'q/x:1'\n", 4),
        ("hub:\n  extraConfig:\n    a: # why\n      \"c.KubeSpawner.image = 'q/x:1'\"\n", 4),
        ("hub: {extraConfig: {a: c.KubeSpawner.image = 'q/x:1'}}\n", 1),
    ] {
        let set = set_of(values).unwrap();
        let image = set.images.iter().find(|image| image.image == "q/x:1").unwrap();
        assert_eq!(image.places[0].line, line, "{values}");
        let wrong = values.replace("q/x:1", "UPPER/x:1");
        let said = set_of(&wrong).unwrap_err().to_string();
        assert!(said.starts_with(&format!("values.yaml:{line}: hub.extraConfig.a: ")), "{wrong}: {said}");
    }
}

#[test]
fn what_cannot_be_known_is_named() {
    for (values, expected) in [
        ("hub: {existingSecret: s}", "hub.existingSecret: the secret may hold more values"),
        (
            "hub: {config: {JupyterHub: {spawner_class: my.Spawner}}}",
            "hub.config.JupyterHub.spawner_class: own spawner class",
        ),
        ("custom: {a: [{image: 'q/x:1'}]}", "custom.a[0].image: `q/x:1` is there for code alone"),
        (
            "jupyterhub: {hub: {}}\ndask-gateway: {gateway: {}}",
            "dask-gateway: dask-gateway: schedulers and workers run the user's image (free text option) on their own node pools",
        ),
        (
            "binderhub: {config: {BinderHub: {use_registry: true}}, jupyterhub: {singleuser: {}}}",
            "binderhub.config.BinderHub: BinderHub: images are built on demand",
        ),
        (
            "singleuser: {initContainers: [{image: 'q/{username}:1'}]}",
            "singleuser.initContainers[0].image: the image is another one for each user: `q/{username}:1`",
        ),
        (
            "singleuser: {initContainers: [{image: 'ENC[AES256_GCM,data:x]'}]}",
            "singleuser.initContainers[0].image: encrypted",
        ),
        ("sops: {mac: x}", "sops: encrypted values are not read"),
        (
            "hub: {extraFiles: {a: {mountPath: /usr/local/etc/jupyterhub/jupyterhub_config.d/a.py, binaryData: eA==}}}",
            "hub.extraFiles.a: code that is not given as text",
        ),
        (
            "hub: {extraFiles: {a: {mountPath: /usr/local/etc/jupyterhub/jupyterhub_config.d/a.py, stringData: 'c.KubeSpawner.profile_list = f'}}}",
            "hub.extraFiles.a.stringData: profile_list replaced by code",
        ),
        (
            "singleuser: {profileList: [{slug: s, profile_options: {i: {dynamic_image_building: {enabled: true}, choices: {a: {}}}}}]}",
            "singleuser.profileList[0].profile_options.i.dynamic_image_building: images are built on demand",
        ),
        (
            "singleuser: {profileList: [{slug: s, profile_options: {i: {unlisted_choice: {enabled: true, validation_regex: '^a', kubespawner_override: {image: 'q/{value}'}}}}}]}",
            "singleuser.profileList[0].profile_options.i.unlisted_choice: unlisted_choice: profile 's' option 'i' image template 'q/{value}', validation_regex '^a'",
        ),
    ] {
        assert_eq!(unknown(values), [expected], "{values}");
    }
}
