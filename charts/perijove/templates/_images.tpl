{{/*
The image set: which images the users of a hub can start, and on which nodes. The same answer as `perijove images`
gives (crates/prepull/src/imageset), in the language of templates; a test compares the two.

  values → deployments (where Zero to JupyterHub's values are) → coalesce (its defaults below them)
  → base (settings before a profile) → code → profiles (a state for each pod that can be started)
  → _kubespawner.tpl: pod (its images), group (where it lands)

Templates return text only. So these give their results in dictionaries that they are handed:
  set    the image set so far: images, groups, and what has been seen. Entries that have an order lie under
         numbers ("000007"), since dictionaries are read in the order of their keys.
  out    one result, in `out.value`.
A state is all settings of a pod as JSON with sorted keys, so that equal ones are equal texts.

What `perijove images` reads in code and this does not is said in README.md, "Code".
*/}}

{{/* The set of the release, reckoned once and kept beside the values: .Values is one object for all templates. */}}
{{- define "perijove.set" -}}
{{- if not (hasKey .Values "perijove.computed") -}}
{{- $set := dict "images" (dict) "byName" (dict) "groups" (dict) "byPlace" (dict) "tolerations" (list) -}}
{{- $_ := set $set "attrs" (fromJson (include "perijove.attrs" .)) -}}
{{- $values := omit (fromJson (toJson .Values)) "perijove" "global" -}}
{{- $_ := include "perijove.deployments" (dict "values" $values "set" $set) -}}
{{- $defaults := fromYaml (include "perijove.z2jh" .) -}}
{{- range $number, $deployment := $set.deployments -}}
{{- $_ := include "perijove.coalesce" (dict "values" $deployment.values "defaults" $defaults "wrapped" (ne $deployment.path "")) -}}
{{- $_ := include "perijove.kinds" (dict "values" $deployment.values "path" $deployment.path) -}}
{{- if not $.Values.perijove.imageSet -}}
{{- $_ := include "perijove.deployment" (dict "set" $set "values" $deployment.values "path" $deployment.path) -}}
{{- end -}}
{{- end -}}
{{- if .Values.perijove.imageSet -}}
{{- $_ := include "perijove.given" (dict "set" $set "given" .Values.perijove.imageSet) -}}
{{- end -}}
{{- $_ := set .Values "perijove.computed" $set -}}
{{- end -}}
{{- end -}}

{{/* The settings of KubeSpawner that count, and their deprecated names. */}}
{{- define "perijove.attrs" -}}
{{- $attrs := dict -}}
{{- range list "image" "image_pull_policy" "image_pull_secrets" "init_containers" "extra_containers" "extra_container_config" "extra_pod_config" "volumes" "node_selector" "tolerations" "node_affinity_required" "extra_resource_limits" "extra_resource_guarantees" -}}
{{- $_ := set $attrs . . -}}
{{- end -}}
{{- range list "image_pull_policy" "image_pull_secrets" "node_selector" "init_containers" "extra_containers" "extra_container_config" "extra_pod_config" -}}
{{- $_ := set $attrs (printf "singleuser_%s" .) . -}}
{{- end -}}
{{- $_ := set $attrs "image_spec" "image" -}}
{{- $_ := set $attrs "singleuser_image_spec" "image" -}}
{{- toJson $attrs -}}
{{- end -}}

{{/* Zero to JupyterHub's own values, as YAML: those of the release `perijove.z2jhVersion`, else of the newest. */}}
{{- define "perijove.z2jh" -}}
{{- $wanted := trimPrefix "v" (toString (.Values.perijove.z2jhVersion | default "")) -}}
{{- $found := list -}}
{{- $known := list -}}
{{- range splitList "\n" (.Files.Get "z2jh/releases.tsv") -}}
{{- if and . (not (hasPrefix "#" .)) -}}
{{- $fields := splitList "\t" . -}}
{{- $known = append $known (first $fields) -}}
{{- if or (eq $wanted "") (hasPrefix (print $wanted ".") (print (first $fields) ".")) -}}{{- $found = $fields -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if not $found -}}
{{- fail (printf "perijove.z2jhVersion: no release %s of Zero to JupyterHub is known; known are %s" $wanted (join " " $known)) -}}
{{- end -}}
{{- $pause := splitList ":" (index $found 2) -}}
{{- .Files.Get "z2jh/values.yaml" | replace "{OWN}" (index $found 1) | replace "{RELEASE}" (first $found) | replace "{PAUSE_TAG}" (last $pause) | replace "{PAUSE}" (initial $pause | join ":") -}}
{{- end -}}

{{/* Where the values of Zero to JupyterHub are: at the top, or below the name of a dependency, at any of four levels. */}}
{{- define "perijove.deployments" -}}
{{- $found := dict -}}
{{- $_ := include "perijove.below" (dict "node" .values "path" "" "level" 0 "found" $found) -}}
{{- $deployments := dict -}}
{{- if or (not $found) (not (kindIs "invalid" .values.singleuser)) (not (kindIs "invalid" .values.prePuller)) -}}
{{- $_ := set $deployments "000000" (dict "path" "" "values" .values) -}}
{{- end -}}
{{- range $number, $deployment := $found -}}
{{- $_ := set $deployments $number $deployment -}}
{{- end -}}
{{- $_ := set .set "deployments" $deployments -}}
{{- end -}}

{{- define "perijove.below" -}}
{{- $at := . -}}
{{- $own := list "singleuser" "prePuller" "hub" "proxy" "scheduling" "imagePullSecrets" "imagePullSecret" "cull" "custom" "ingress" "debug" "rbac" "global" -}}
{{- if lt (int .level) 4 -}}
{{- range $key, $child := .node -}}
{{- $alias := false -}}
{{- if and (kindIs "map" $child) (has $key (list "hub" "proxy")) -}}
{{- /* A wrapping chart's name for it: Zero to JupyterHub refuses such keys below its own. */ -}}
{{- range $chart := list $child $child.jupyterhub -}}
{{- if kindIs "map" $chart -}}{{- if not (and (kindIs "invalid" $chart.singleuser) (kindIs "invalid" $chart.prePuller)) -}}{{- $alias = true -}}{{- end -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (kindIs "map" $child) (or $alias (not (has $key $own))) -}}
{{- $path := printf "%s%s." $at.path $key -}}
{{- $before := len $at.found -}}
{{- $here := dict "path" $path "values" $child -}}
{{- $number := printf "%06d" (add1 $before) -}}
{{- if or (not (kindIs "invalid" $child.singleuser)) (not (kindIs "invalid" $child.prePuller)) -}}
{{- $_ := set $at.found $number $here -}}
{{- else -}}
{{- $_ := include "perijove.below" (dict "node" $child "path" $path "level" (add1 $at.level) "found" $at.found) -}}
{{- if and (has $key (list "jupyterhub" "jupyter-hub")) (eq (len $at.found) $before) -}}
{{- $_ := set $at.found $number $here -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* `defaults` below `values`, as Helm does it: a null takes a default away, and stays if the chart is a dependency. */}}
{{- define "perijove.coalesce" -}}
{{- $at := . -}}
{{- range $key, $default := .defaults -}}
{{- if not (hasKey $at.values $key) -}}
{{- $_ := set $at.values $key (deepCopy $default) -}}
{{- else -}}
{{- $value := index $at.values $key -}}
{{- if kindIs "invalid" $value -}}
{{- if not $at.wrapped -}}{{- $_ := unset $at.values $key -}}{{- end -}}
{{- else if and (kindIs "map" $value) (kindIs "map" $default) -}}
{{- $_ := include "perijove.coalesce" (dict "values" $value "defaults" $default "wrapped" $at.wrapped) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Refuses a value of another kind than `kinds`, unless it is null. */}}
{{- define "perijove.check" -}}
{{- $kind := kindOf .value -}}
{{- if not (or (eq $kind "invalid") (has $kind .kinds)) -}}
{{- $words := dict "map" "a mapping" "slice" "a list" "string" "text" "bool" "true or false" "float64" "a number" "int64" "a number" "int" "a number" -}}
{{- fail (printf "%s: expected %s, found %s" .at .expected (get $words $kind | default $kind)) -}}
{{- end -}}
{{- end -}}

{{/* Refuses what KubeSpawner does not take for a setting. */}}
{{- define "perijove.checkAttr" -}}
{{- $kinds := list "map" -}}
{{- $expected := "a mapping" -}}
{{- if has .attr (list "image" "image_pull_policy") -}}
{{- $kinds = list "string" -}}{{- $expected = "text" -}}
{{- else if eq .attr "image_pull_secrets" -}}
{{- $kinds = list "slice" "string" -}}{{- $expected = "a list of names" -}}
{{- else if has .attr (list "init_containers" "extra_containers" "volumes" "tolerations" "node_affinity_required") -}}
{{- $kinds = list "slice" "map" -}}{{- $expected = "a list" -}}
{{- end -}}
{{- $_ := include "perijove.check" (dict "value" .value "kinds" $kinds "expected" $expected "at" .at) -}}
{{- end -}}

{{/* The items of a list, or of a dictionary by its keys, without nulls: KubeSpawner takes either. */}}
{{- define "perijove.items" -}}
{{- $items := list -}}
{{- if and (kindIs "slice" .of) (not (has nil .of)) -}}
{{- $items = .of -}}
{{- else if or (kindIs "slice" .of) (kindIs "map" .of) -}}
{{- range $_, $item := .of -}}
{{- if not (kindIs "invalid" $item) -}}{{- $items = append $items $item -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $_ := set .out "value" $items -}}
{{- end -}}

{{/* `name:tag` of an image with both, the name alone without a tag; nothing without a name. */}}
{{- define "perijove.named" -}}
{{- $_ := include "perijove.check" (dict "value" .image "kinds" (list "map") "expected" "a mapping with name and tag" "at" .at) -}}
{{- $image := .image | default dict -}}
{{- $_ := include "perijove.check" (dict "value" $image.name "kinds" (list "string") "expected" "text" "at" (print .at ".name")) -}}
{{- $_ := include "perijove.check" (dict "value" $image.tag "kinds" (list "string") "expected" "text, in quotes (3.10 is 3.1 to YAML)" "at" (print .at ".tag")) -}}
{{- if $image.name -}}{{- $image.name -}}{{- with $image.tag -}}:{{ . }}{{- end -}}{{- end -}}
{{- end -}}

{{/* All images of one deployment. */}}
{{- define "perijove.deployment" -}}
{{- $at := . -}}
{{- $out := dict -}}
{{- $_ := set .set "pods" dict -}}
{{- $_ := set .set "byPlacing" dict -}}
{{- $base := dict "settings" dict "profiles" nil -}}
{{- $_ := include "perijove.base" (dict "set" .set "values" .values "path" .path "base" $base) -}}
{{- $named := dict -}}
{{- $_ := include "perijove.code" (dict "set" .set "values" .values "path" .path "base" $base "named" $named) -}}
{{- $state := toJson $base.settings -}}
{{- $_ := include "perijove.items" (dict "of" $base.profiles "out" $out) -}}
{{- if $out.value -}}
{{- $_ := include "perijove.profiles" (dict "set" .set "state" $state "profiles" $out.value "path" .path) -}}
{{- else -}}
{{- $_ := include "perijove.pod" (dict "set" .set "state" $state "where" (print .path "singleuser")) -}}
{{- end -}}
{{- $_ := include "perijove.secretNames" (dict "settings" $base.settings "out" $out) -}}
{{- $secrets := $out.value -}}
{{- range $_, $text := $named -}}
{{- $_ := include "perijove.image" (dict "set" $at.set "text" $text "policy" nil "template" true "where" (print $at.path "hub.extraConfig") "out" $out) -}}
{{- if $out.value -}}
{{- range $_, $group := $at.set.byPlacing -}}
{{- if $group -}}{{- $_ := include "perijove.land" (dict "set" $at.set "image" $out.value "group" $group "secrets" $secrets) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $_ := include "perijove.extra" (dict "set" .set "values" .values "path" .path "base" $base) -}}
{{- $tolerations := (.values.prePuller).extraTolerations -}}
{{- range $toleration := $tolerations -}}
{{- if and $toleration (not (has $toleration $at.set.tolerations)) -}}
{{- $_ := set $at.set "tolerations" (append $at.set.tolerations $toleration) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* `singleuser.*`, then `hub.config`: the settings before a profile is chosen, as the hub's configuration makes them. */}}
{{- define "perijove.base" -}}
{{- $at := . -}}
{{- $values := .values -}}
{{- $settings := .base.settings -}}
{{- $out := dict -}}
{{- $user := $values.singleuser | default dict -}}
{{- $scheduling := (($values.scheduling | default dict).userPods) | default dict -}}
{{- $_ := set .base "profiles" $user.profileList -}}
{{- $copies := dict "node_selector" $user.nodeSelector "extra_containers" $user.extraContainers "extra_pod_config" $user.extraPodConfig "image_pull_policy" ($user.image | default dict).pullPolicy -}}
{{- $_ := set $copies "extra_resource_limits" ($user.extraResource | default dict).limits -}}
{{- $_ := set $copies "extra_resource_guarantees" ($user.extraResource | default dict).guarantees -}}
{{- $_ := set $copies "image" (include "perijove.named" (dict "image" $user.image "at" (print .path "singleuser.image")) | default "quay.io/jupyterhub/singleuser:latest") -}}

{{- /* Volumes are kept by their names, so that a profile can change one. */ -}}
{{- $volumes := ($user.storage | default dict).extraVolumes -}}
{{- if kindIs "slice" $volumes -}}
{{- $byName := dict -}}
{{- range $volume := $volumes -}}
{{- if and (kindIs "map" $volume) (kindIs "string" ($volume | default dict).name) -}}{{- $_ := set $byName $volume.name $volume -}}{{- else -}}{{- $byName = nil -}}{{- break -}}{{- end -}}
{{- end -}}
{{- if kindIs "map" $byName -}}{{- $volumes = $byName -}}{{- end -}}
{{- end -}}
{{- $_ := set $copies "volumes" $volumes -}}

{{- $secret := $values.imagePullSecret | default dict -}}
{{- $secrets := list -}}
{{- if and $secret.create $secret.automaticReferenceInjection -}}{{- $secrets = list "image-pull-secret" -}}{{- end -}}
{{- $tolerations := list -}}
{{- $init := list -}}
{{- $terms := list -}}
{{- range $list := list (list "secrets" "imagePullSecrets" $values.imagePullSecrets) (list "secrets" "singleuser.image.pullSecrets" ($user.image | default dict).pullSecrets) (list "tolerations" "scheduling.userPods.tolerations" $scheduling.tolerations) (list "tolerations" "singleuser.extraTolerations" $user.extraTolerations) (list "init" "singleuser.initContainers" $user.initContainers) (list "terms" "singleuser.extraNodeAffinity.required" ($user.extraNodeAffinity | default dict).required) -}}
{{- $_ := include "perijove.check" (dict "value" (last $list) "kinds" (list "slice" "map") "expected" "a list" "at" (print $at.path (index $list 1))) -}}
{{- $_ := include "perijove.items" (dict "of" (last $list) "out" $out) -}}
{{- if eq (first $list) "secrets" -}}{{- $secrets = concat $secrets $out.value -}}
{{- else if eq (first $list) "tolerations" -}}{{- $tolerations = concat $tolerations $out.value -}}
{{- else if eq (first $list) "init" -}}{{- $init = concat $init $out.value -}}
{{- else -}}{{- $terms = concat $terms $out.value -}}{{- end -}}
{{- end -}}
{{- if eq "require" (toString ($scheduling.nodeAffinity | default dict).matchNodePurpose) -}}
{{- $terms = append $terms (dict "matchExpressions" (list (dict "key" "hub.jupyter.org/node-purpose" "operator" "In" "values" (list "user")))) -}}
{{- end -}}

{{- /* The container that keeps users from the cloud's metadata. */ -}}
{{- $tools := ($user.networkTools | default dict).image -}}
{{- $block := ($user.cloudMetadata | default dict).blockWithIptables -}}
{{- if and (kindIs "bool" $block) $block $tools -}}
{{- with include "perijove.named" (dict "image" $tools "at" (print .path "singleuser.networkTools.image")) -}}
{{- $container := dict "image" . -}}
{{- if $tools.pullPolicy -}}{{- $_ := set $container "imagePullPolicy" $tools.pullPolicy -}}{{- end -}}
{{- $init = append $init $container -}}
{{- end -}}
{{- end -}}
{{- $_ := merge $copies (dict "image_pull_secrets" $secrets "tolerations" $tolerations "node_affinity_required" $terms "init_containers" $init) -}}
{{- range $attr, $value := $copies -}}
{{- $_ := include "perijove.checkAttr" (dict "attr" $attr "value" $value "at" (printf "%ssingleuser: %s" $at.path $attr)) -}}
{{- if not (kindIs "invalid" $value) -}}{{- $_ := set $settings $attr $value -}}{{- end -}}
{{- end -}}

{{- /* hub.config: the class Spawner gives way to KubeSpawner, subclasses of it come last. */ -}}
{{- $config := ($values.hub | default dict).config -}}
{{- $classes := list -}}
{{- range $class, $traits := $config -}}
{{- if and (not (kindIs "invalid" $traits)) (eq "yes" (include "perijove.isClass" $class)) -}}
{{- $_ := include "perijove.check" (dict "value" $traits "kinds" (list "map") "expected" "a mapping" "at" (printf "%shub.config.%s" $at.path $class)) -}}
{{- $rank := get (dict "Spawner" "0" "KubeSpawner" "1") $class | default "2" -}}
{{- $classes = append $classes (print $rank $class) -}}
{{- end -}}
{{- end -}}
{{- range $ranked := sortAlpha $classes -}}
{{- $class := substr 1 (len $ranked) $ranked -}}
{{- $traits := index $config $class -}}
{{- range $name, $value := $traits -}}
{{- if eq $name "profile_list" -}}
{{- $_ := set $at.base "profiles" $value -}}
{{- else if hasKey $at.set.attrs $name -}}
{{- $attr := get $at.set.attrs $name -}}
{{- $deprecated := ne $attr $name -}}
{{- $skip := and (or $deprecated (eq $class "Spawner")) (hasKey $settings $attr) -}}
{{- range $other, $_ := $traits -}}
{{- if and $deprecated (ne $other $name) (eq (get $at.set.attrs $other) $attr) -}}{{- $skip = true -}}{{- end -}}
{{- end -}}
{{- if not $skip -}}
{{- $_ := include "perijove.checkAttr" (dict "attr" $attr "value" $value "at" (printf "%shub.config.%s.%s" $at.path $class $name)) -}}
{{- if kindIs "invalid" $value -}}{{- $_ := unset $settings $attr -}}{{- else -}}{{- $_ := set $settings $attr $value -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $_ := include "perijove.check" (dict "value" .base.profiles "kinds" (list "slice" "map") "expected" "a list of profiles" "at" (print .path "singleuser.profileList")) -}}
{{- end -}}

{{/* Whether a class of the configuration is KubeSpawner, one above or one below it. */}}
{{- define "perijove.isClass" -}}
{{- if and (hasSuffix "Spawner" .) (not (regexMatch "Docker|Process|Swarm|SystemUser" .)) -}}yes{{- end -}}
{{- end -}}

{{/*
`hub.extraConfig`, and the files of `hub.extraFiles` that the hub runs. Of Python only this is read: a line
`c.KubeSpawner.image = "…"`, and images in containers that code makes (`"image": "…"`, `f(image="…")`, `x.image = "…"`).
*/}}
{{- define "perijove.code" -}}
{{- $at := . -}}
{{- $folder := "/usr/local/etc/jupyterhub/jupyterhub_config.d/" -}}
{{- $hub := .values.hub | default dict -}}
{{- $pieces := list -}}
{{- $files := dict -}}
{{- range $key, $file := $hub.extraFiles -}}
{{- if kindIs "map" $file -}}
{{- $mount := toString ($file.mountPath | default $key) -}}
{{- if and (hasPrefix $folder $mount) (hasSuffix ".py" $mount) (kindIs "string" $file.stringData) -}}
{{- $_ := set $files (trimPrefix $folder $mount) $file.stringData -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $_, $code := $files -}}{{- $pieces = append $pieces $code -}}{{- end -}}
{{- if kindIs "string" $hub.extraConfig -}}
{{- $pieces = append $pieces $hub.extraConfig -}}
{{- else if $hub.extraConfig -}}
{{- $_ := include "perijove.check" (dict "value" $hub.extraConfig "kinds" (list "map") "expected" "a mapping" "at" (print .path "hub.extraConfig")) -}}
{{- range $key, $code := $hub.extraConfig -}}
{{- $_ := include "perijove.check" (dict "value" $code "kinds" (list "string") "expected" "text" "at" (printf "%shub.extraConfig.%s" $at.path $key)) -}}
{{- if $code -}}{{- $pieces = append $pieces $code -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $text := "(?:\"([^\"\\\\\\n]*)\"|'([^'\\\\\\n]*)')" -}}
{{- $set := printf "(?m)^c\\.([A-Za-z]*Spawner)\\.image[ \\t]*=[ \\t]*%s[ \\t]*$" $text -}}
{{- $item := printf "[\"']image[\"']\\s*:\\s*%s\\s*[,})\\n]" $text -}}
{{- $call := printf "[(,]\\s*image\\s*=\\s*%s\\s*[,)\\n]" $text -}}
{{- $field := printf "(?m:^[ \\t]*[A-Za-z_][A-Za-z0-9_.]*\\.image[ \\t]*=[ \\t]*%s[ \\t]*$)" $text -}}
{{- $any := join "|" (list $item $call $field) -}}
{{- range $piece := $pieces -}}
{{- $code := include "perijove.plain" $piece -}}
{{- range $match := regexFindAll $set $code -1 -}}
{{- $class := regexReplaceAll $set $match "${1}" -}}
{{- if and (ne $class "Spawner") (eq "yes" (include "perijove.isClass" $class)) -}}
{{- $_ := set $at.base.settings "image" (regexReplaceAll $set $match "${2}${3}") -}}
{{- end -}}
{{- end -}}
{{- range $match := regexFindAll $any $code -1 -}}
{{- $image := regexReplaceAll $any $match "${1}${2}${3}${4}${5}${6}" | trim -}}
{{- /* What stands in the outermost block is always run, and has been read above; other classes are no spawner's. */ -}}
{{- $trait := regexFind "^[ \\t]*c\\.[A-Za-z0-9_]*\\.image\\b" $match -}}
{{- $read := and $trait (or (hasPrefix "c." $trait) (ne "yes" (include "perijove.isClass" (index (splitList "." $trait) 1)))) -}}
{{- if and (not $read) (regexMatch "[/:@]" $image) (eq "yes" (include "perijove.isReference" $image)) -}}
{{- if not (has $image (values $at.named)) -}}{{- $_ := set $at.named (printf "%06d" (len $at.named)) $image -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Python without its comments, and with `0` for texts of which nothing is read: those in three quotes, and those with
quotes or backslashes in them. A text that is left open ends with its line.
*/}}
{{- define "perijove.plain" -}}
{{- $three := `"""(?:[^\\]|\\.)*?(?:"""|\\?\z)|'''(?:[^\\]|\\.)*?(?:'''|\\?\z)` -}}
{{- $one := `"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?` -}}
{{- range $piece := regexFindAll (print "(?s)" $three "|" $one `|#[^\n]*|[^"'#]+`) (replace "\r" "" .) -1 -}}
{{- if hasPrefix "#" $piece -}}
{{- else if and (regexMatch `^["']` $piece) (not (regexMatch `^(?:"[^"'\\]*"|'[^"'\\]*')$` $piece)) -}}0
{{- else -}}{{ $piece }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* `prePuller.extraImages`: where pods with it are known to land, else where Zero to JupyterHub's pullers go. */}}
{{- define "perijove.extra" -}}
{{- $at := . -}}
{{- $out := dict -}}
{{- $_ := include "perijove.secretNames" (dict "settings" (pick .base.settings "image_pull_secrets") "out" $out) -}}
{{- $secrets := $out.value -}}
{{- $extra := (.values.prePuller).extraImages -}}
{{- range $key, $image := $extra -}}
{{- if not (kindIs "invalid" $image) -}}
{{- $where := printf "%sprePuller.extraImages.%s" $at.path $key -}}
{{- with include "perijove.named" (dict "image" $image "at" $where) -}}
{{- $_ := include "perijove.image" (dict "set" $at.set "text" . "policy" $image.pullPolicy "template" false "where" $where "out" $out) -}}
{{- $number := $out.value -}}
{{- if and $number (not (index $at.set.images $number).placed) -}}
{{- $_ := include "perijove.group" (dict "set" $at.set "settings" $at.base.settings "out" $out) -}}
{{- if $out.value -}}{{- $_ := include "perijove.land" (dict "set" $at.set "image" $number "group" $out.value "secrets" $secrets) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* `perijove.imageSet`: what `perijove --format json images` has printed, in place of all the above. */}}
{{- define "perijove.given" -}}
{{- $set := .set -}}
{{- $policies := dict -}}
{{- range .given.images -}}{{- $_ := set $policies .image .pull_policy -}}{{- end -}}
{{- $_ := set $set "tolerations" (.given.puller_tolerations | default list) -}}
{{- $out := dict -}}
{{- range $index, $group := .given.groups -}}
{{- $number := printf "%06d" $index -}}
{{- $_ := set $set.groups $number (dict "selector" ($group.node_selector | default dict) "tolerations" ($group.tolerations | default list) "affinity" ($group.affinity | default list) "extended" ($group.extended_resources | default list) "images" dict "secrets" list) -}}
{{- range $image := $group.images -}}
{{- $_ := include "perijove.image" (dict "set" $set "text" $image "policy" (get $policies $image) "template" false "where" "perijove.imageSet" "out" $out) -}}
{{- if $out.value -}}{{- $_ := include "perijove.land" (dict "set" $set "image" $out.value "group" $number "secrets" ($group.pull_secrets | default list)) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
