{{/*
KubeSpawner's own rules (kubespawner 7.1): how profiles and options change the settings of a pod
(`KubeSpawner._load_profile`, `_apply_overrides`), and which images and which place a pod with them has
(`objects.make_pod`). See _images.tpl for `set`, `out` and states.
*/}}

{{/* Stands for what a user types in an unlisted choice; a code point for private use. */}}
{{- define "perijove.any" -}}{{ "\uf8ff" }}{{- end -}}

{{/* Every pod that the profiles can make of `state`. */}}
{{- define "perijove.profiles" -}}
{{- $at := . -}}
{{- $out := dict -}}
{{- range $index, $profile := .profiles -}}
{{- $where := printf "%ssingleuser.profileList[%d]" $at.path $index -}}
{{- $_ := include "perijove.check" (dict "value" $profile "kinds" (list "map") "expected" "a mapping" "at" $where) -}}
{{- $_ := include "perijove.override" (dict "set" $at.set "of" $profile.kubespawner_override "where" (print $where ".kubespawner_override") "out" $out) -}}
{{- $states := list (include "perijove.apply" (dict "set" $at.set "state" $at.state "over" $out.value)) -}}
{{- if $profile.profile_options -}}
{{- $_ := include "perijove.options" (dict "set" $at.set "of" $profile.profile_options "where" (print $where ".profile_options") "out" $out) -}}
{{- $options := $out.value -}}
{{- $_ := include "perijove.combine" (dict "set" $at.set "states" $states "options" $options "out" $out) -}}
{{- $states = $out.value -}}
{{- end -}}
{{- range $_, $state := $states -}}
{{- $_ := include "perijove.pod" (dict "set" $at.set "state" $state "where" $where) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The overrides of each option's choices, equal ones once, in the order in which options apply. */}}
{{- define "perijove.options" -}}
{{- $at := . -}}
{{- $out := dict -}}
{{- $_ := include "perijove.check" (dict "value" .of "kinds" (list "map") "expected" "a mapping" "at" .where) -}}
{{- $options := list -}}
{{- $_ := include "perijove.ordered" (dict "of" .of "out" $out) -}}
{{- range $name := $out.value -}}
{{- $option := index $at.of $name -}}
{{- if not (kindIs "invalid" $option) -}}
{{- $where := printf "%s.%s" $at.where $name -}}
{{- $_ := include "perijove.check" (dict "value" $option "kinds" (list "map") "expected" "a mapping" "at" $where) -}}
{{- $_ := include "perijove.check" (dict "value" $option.choices "kinds" (list "map") "expected" "a mapping" "at" (print $where ".choices")) -}}
{{- $choices := list -}}
{{- range $key, $choice := $option.choices -}}
{{- if not (kindIs "invalid" $choice) -}}
{{- $whereChoice := printf "%s.choices.%s" $where $key -}}
{{- $_ := include "perijove.check" (dict "value" $choice "kinds" (list "map") "expected" "a mapping" "at" $whereChoice) -}}
{{- $_ := include "perijove.override" (dict "set" $at.set "of" $choice.kubespawner_override "where" (print $whereChoice ".kubespawner_override") "out" $out) -}}
{{- if not (has $out.value $choices) -}}{{- $choices = append $choices $out.value -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $free := $option.unlisted_choice -}}
{{- if and (kindIs "map" $free) ($free | default dict).enabled -}}
{{- $over := $free.kubespawner_override -}}
{{- if $over -}}{{- $over = toJson $over | replace "{value}" (include "perijove.any" .) | fromJson -}}{{- end -}}
{{- $_ := include "perijove.override" (dict "set" $at.set "of" $over "where" (print $where ".unlisted_choice.kubespawner_override") "out" $out) -}}
{{- if not (has $out.value $choices) -}}{{- $choices = append $choices $out.value -}}{{- end -}}
{{- end -}}
{{- if $choices -}}{{- $options = append $options $choices -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $_ := set .out "value" $options -}}
{{- end -}}

{{/*
The state of every combination of choices, in their order, equal ones once; past 20,000 of each choice by itself, as
`perijove images` does. `next` and `seen` hold one state each: appending to a list would copy it each time.
*/}}
{{- define "perijove.combine" -}}
{{- $at := . -}}
{{- $states := .states -}}
{{- $many := false -}}
{{- range $choices := .options -}}
{{- if not $many -}}
{{- $next := dict -}}
{{- $seen := dict -}}
{{- range $_, $state := $states -}}
{{- if gt (len $next) 20000 -}}{{- $many = true -}}{{- break -}}{{- end -}}
{{- range $over := $choices -}}
{{- $made := include "perijove.apply" (dict "set" $at.set "state" $state "over" $over) -}}
{{- if not (hasKey $seen $made) -}}
{{- $_ := set $next (printf "%06d" (len $next)) $made -}}
{{- $_ := set $seen $made "" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $states = $next -}}
{{- end -}}
{{- end -}}
{{- if $many -}}
{{- $states = .states -}}
{{- range $choices := .options -}}
{{- range $over := $choices -}}
{{- range $state := $at.states -}}
{{- $states = append $states (include "perijove.apply" (dict "set" $at.set "state" $state "over" $over)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $_ := set .out "value" $states -}}
{{- end -}}

{{/*
The keys of `of` in the order in which the hub sees them: Helm writes the values into a Secret with go-yaml v2, which
sorts them in a natural way (`9-x` before `10-x`, `10` before `1a`), and Python keeps that order.
*/}}
{{- define "perijove.ordered" -}}
{{- $sorted := list -}}
{{- range $key, $_ := .of -}}
{{- $low := 0 -}}
{{- $high := len $sorted -}}
{{- range until 32 -}}
{{- if ge $low $high -}}{{- break -}}{{- end -}}
{{- $middle := div (add $low $high) 2 | int -}}
{{- if eq "yes" (include "perijove.before" (list $key (index $sorted $middle))) -}}{{- $high = $middle -}}{{- else -}}{{- $low = add1 $middle | int -}}{{- end -}}
{{- end -}}
{{- if $sorted -}}{{- $sorted = concat (slice $sorted 0 $low) (list $key) (slice $sorted $low) -}}{{- else -}}{{- $sorted = list $key -}}{{- end -}}
{{- end -}}
{{- $_ := set .out "value" $sorted -}}
{{- end -}}

{{/*
Whether the first of two keys comes first (go-yaml v2, `keyList.Less`, as crates/prepull/src/imageset/order.rs has it):
at the first sign that differs, other signs before letters, and numbers from there on by their value.
*/}}
{{- define "perijove.before" -}}
{{- $a := splitList "" (first .) -}}
{{- $b := splitList "" (last .) -}}
{{- $at := 0 -}}
{{- range $index, $sign := $a -}}
{{- if or (ge $index (len $b)) (ne $sign (index $b $index)) -}}{{- break -}}{{- end -}}
{{- $at = add1 $index | int -}}
{{- end -}}
{{- if or (eq $at (len $a)) (eq $at (len $b)) -}}
{{- if lt (len $a) (len $b) -}}yes{{- end -}}
{{- else -}}
{{- $l := index $a $at -}}
{{- $r := index $b $at -}}
{{- $isLetter := regexMatch "^\\pL" $l -}}
{{- if ne $isLetter (regexMatch "^\\pL" $r) -}}
{{- if not $isLetter -}}yes{{- end -}}
{{- else -}}
{{- $number := "" -}}
{{- if not $isLetter -}}
{{- /* A zero in the middle of a number counts as a digit, one at its beginning does not. */ -}}
{{- if and (or (eq $l "0") (eq $r "0")) (regexMatch "[1-9][0-9]*$" (join "" (slice $a 0 $at))) -}}{{- $number = "1" -}}{{- end -}}
{{- end -}}
{{- $ranks := list -}}
{{- range list $a $b -}}
{{- $digits := regexFind "^[0-9]*" (join "" (slice . $at)) -}}
{{- $value := regexReplaceAll "^0+" (print $number $digits) "" -}}
{{- $ranks = append $ranks (printf "%06d %s %06d %s" (len $value) $value (len $digits) (index . $at)) -}}
{{- end -}}
{{- if lt (first $ranks) (last $ranks) -}}yes{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The settings of a `kubespawner_override` that count. */}}
{{- define "perijove.override" -}}
{{- $at := . -}}
{{- $over := dict -}}
{{- $_ := include "perijove.check" (dict "value" .of "kinds" (list "map") "expected" "a mapping" "at" .where) -}}
{{- range $name, $value := .of -}}
{{- if hasKey $at.set.attrs $name -}}
{{- $_ := include "perijove.checkAttr" (dict "attr" (get $at.set.attrs $name) "value" $value "at" (printf "%s.%s" $at.where $name)) -}}
{{- $_ := set $over $name $value -}}
{{- end -}}
{{- end -}}
{{- $_ := set .out "value" $over -}}
{{- end -}}

{{/* The state after an override: a dictionary merges into a dictionary, where null removes; all else replaces. */}}
{{- define "perijove.apply" -}}
{{- $at := . -}}
{{- if not .over -}}
{{- .state -}}
{{- else -}}
{{- $settings := fromJson .state -}}
{{- range $name, $new := .over -}}
{{- $attr := get $at.set.attrs $name -}}
{{- $old := index $settings $attr -}}
{{- if and (kindIs "map" $new) (or (kindIs "map" $old) (kindIs "invalid" $old)) -}}
{{- $merged := $old | default dict -}}
{{- $_ := include "perijove.update" (dict "target" $merged "new" $new) -}}
{{- $_ := set $settings $attr $merged -}}
{{- else if not (kindIs "invalid" $new) -}}
{{- $_ := set $settings $attr $new -}}
{{- else if ne $attr "image" -}}
{{- $_ := unset $settings $attr -}}
{{- end -}}
{{- end -}}
{{- toJson $settings -}}
{{- end -}}
{{- end -}}

{{/* `recursive_update` of KubeSpawner. */}}
{{- define "perijove.update" -}}
{{- $at := . -}}
{{- range $key, $new := .new -}}
{{- if kindIs "invalid" $new -}}
{{- $_ := unset $at.target $key -}}
{{- else if kindIs "map" $new -}}
{{- if not (hasKey $at.target $key) -}}{{- $_ := set $at.target $key dict -}}{{- end -}}
{{- if kindIs "map" (index $at.target $key) -}}
{{- $_ := include "perijove.update" (dict "target" (index $at.target $key) "new" $new) -}}
{{- else -}}
{{- $_ := set $at.target $key (deepCopy $new) -}}
{{- end -}}
{{- else -}}
{{- $_ := set $at.target $key $new -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A field of the pod: `extra_pod_config` says it by either name and replaces the setting, null too. */}}
{{- define "perijove.field" -}}
{{- if and (kindIs "map" .config) (or (hasKey (.config | default dict) .camel) (hasKey (.config | default dict) .snake)) -}}
{{- $value := index .config .camel -}}
{{- if kindIs "invalid" $value -}}{{- $value = index .config .snake -}}{{- end -}}
{{- $_ := set .out "value" $value -}}
{{- $_ := set .out "template" true -}}
{{- else -}}
{{- $_ := set .out "value" .else -}}
{{- $_ := set .out "template" false -}}
{{- end -}}
{{- end -}}

{{/* Whether a text in `of` is completed by a user's own words or, in a template, by the user's name. */}}
{{- define "perijove.open" -}}
{{- $at := . -}}
{{- $any := include "perijove.any" . -}}
{{- if kindIs "string" .of -}}
{{- if or (contains $any .of) (and .template (contains "{" .of)) -}}yes{{- end -}}
{{- else if or (kindIs "slice" .of) (kindIs "map" .of) -}}
{{- range $key, $item := .of -}}
{{- if contains $any (toString $key) -}}yes{{- else -}}{{- include "perijove.open" (dict "of" $item "template" $at.template) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A pod with the settings of `state` can be started: its images land in its group, if that can be known. */}}
{{- define "perijove.pod" -}}
{{- if not (hasKey .set.pods .state) -}}
{{- $at := . -}}
{{- $_ := set .set.pods .state "" -}}
{{- $settings := fromJson .state -}}
{{- $out := dict -}}
{{- $_ := include "perijove.group" (dict "set" .set "settings" $settings "out" $out) -}}
{{- $group := $out.value -}}
{{- $_ := include "perijove.secretNames" (dict "settings" $settings "out" $out) -}}
{{- $secrets := $out.value -}}
{{- $used := dict "found" list -}}
{{- $_ := include "perijove.used" (dict "settings" $settings "used" $used) -}}
{{- range $one := $used.found -}}
{{- $_ := include "perijove.image" (merge (dict "set" $at.set "where" $at.where "out" $out) $one) -}}
{{- if and $group $out.value -}}{{- $_ := include "perijove.land" (dict "set" $at.set "image" $out.value "group" $group "secrets" $secrets) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The images of a pod, in the order in which `perijove images` tells them. */}}
{{- define "perijove.used" -}}
{{- $settings := .settings -}}
{{- $config := $settings.extra_pod_config -}}
{{- $found := list -}}
{{- $out := dict -}}
{{- $lists := list -}}
{{- if and $config (hasKey $config "containers") -}}
{{- $lists = append $lists $config.containers -}}
{{- else -}}
{{- $own := $settings.extra_container_config -}}
{{- $image := ($own | default dict).image -}}
{{- if kindIs "invalid" $image -}}{{- $image = $settings.image -}}{{- end -}}
{{- $_ := include "perijove.field" (dict "config" $own "camel" "imagePullPolicy" "snake" "image_pull_policy" "else" nil "out" $out) -}}
{{- $policy := $out.value -}}
{{- if kindIs "invalid" $policy -}}{{- $policy = $settings.image_pull_policy -}}{{- end -}}
{{- if not (kindIs "invalid" $image) -}}
{{- $found = append $found (dict "text" $image "policy" $policy "template" false) -}}
{{- end -}}
{{- $lists = append $lists $settings.extra_containers -}}
{{- end -}}
{{- $_ := include "perijove.field" (dict "config" $config "camel" "initContainers" "snake" "init_containers" "else" $settings.init_containers "out" $out) -}}
{{- range $containers := append $lists $out.value -}}
{{- $_ := include "perijove.items" (dict "of" $containers "out" $out) -}}
{{- range $container := $out.value -}}
{{- if and (kindIs "map" $container) (not (kindIs "invalid" ($container | default dict).image)) -}}
{{- $found = append $found (dict "text" $container.image "policy" ($container.imagePullPolicy | default $container.image_pull_policy) "template" true) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- /* Image volumes. */ -}}
{{- $_ := include "perijove.field" (dict "config" $config "camel" "volumes" "snake" "volumes" "else" $settings.volumes "out" $out) -}}
{{- $_ := include "perijove.items" (dict "of" $out.value "out" $out) -}}
{{- range $volume := $out.value -}}
{{- if kindIs "map" $volume -}}
{{- if and (kindIs "map" $volume.image) (not (kindIs "invalid" ($volume.image | default dict).reference)) -}}
{{- $found = append $found (dict "text" $volume.image.reference "policy" $volume.image.pullPolicy "template" true) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $_ := set .used "found" $found -}}
{{- end -}}

{{/* The names of a pod's pull secrets: texts or `{name}`; a single text is allowed. */}}
{{- define "perijove.secretNames" -}}
{{- $out := dict -}}
{{- $_ := include "perijove.field" (dict "config" .settings.extra_pod_config "camel" "imagePullSecrets" "snake" "image_pull_secrets" "else" .settings.image_pull_secrets "out" $out) -}}
{{- $names := list -}}
{{- $template := $out.template -}}
{{- if kindIs "string" $out.value -}}
{{- $names = list $out.value -}}
{{- else -}}
{{- $_ := include "perijove.items" (dict "of" $out.value "out" $out) -}}
{{- range $secret := $out.value -}}
{{- if kindIs "string" $secret -}}{{- $names = append $names $secret -}}
{{- else if kindIs "map" $secret -}}{{- if kindIs "string" $secret.name -}}{{- $names = append $names $secret.name -}}{{- end -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $known := list -}}
{{- range $name := without $names "" -}}
{{- if not (include "perijove.open" (dict "of" $name "template" $template)) -}}{{- $known = append $known $name -}}{{- end -}}
{{- end -}}
{{- $_ := set .out "value" $known -}}
{{- end -}}

{{/* The group of a pod with these settings, made if there is none; none where only a user's name or words would tell the place. */}}
{{- define "perijove.group" -}}
{{- $placing := toJson (pick .settings "node_selector" "tolerations" "node_affinity_required" "init_containers" "extra_containers" "extra_container_config" "extra_pod_config" "extra_resource_limits" "extra_resource_guarantees") -}}
{{- if not (hasKey .set.byPlacing $placing) -}}
{{- $_ := include "perijove.place" . -}}
{{- $_ := set .set.byPlacing $placing .out.value -}}
{{- end -}}
{{- $_ := set .out "value" (get .set.byPlacing $placing) -}}
{{- end -}}

{{- define "perijove.place" -}}
{{- $settings := .settings -}}
{{- $config := $settings.extra_pod_config -}}
{{- $out := dict -}}
{{- $_ := include "perijove.field" (dict "config" $config "camel" "nodeSelector" "snake" "node_selector" "else" $settings.node_selector "out" $out) -}}
{{- $selector := dict -}}
{{- $unknown := include "perijove.open" (dict "of" $out.value "template" $out.template) -}}
{{- if kindIs "map" $out.value -}}
{{- range $label, $value := $out.value -}}
{{- if not (or (kindIs "invalid" $value) (kindIs "map" $value) (kindIs "slice" $value)) -}}
{{- $_ := set $selector $label (ternary $value (toJson $value) (kindIs "string" $value)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- /* A toleration that is not known is left out: the pod also lands where none is needed. */ -}}
{{- $_ := include "perijove.field" (dict "config" $config "camel" "tolerations" "snake" "tolerations" "else" $settings.tolerations "out" $out) -}}
{{- $template := $out.template -}}
{{- $_ := include "perijove.items" (dict "of" $out.value "out" $out) -}}
{{- $tolerations := list -}}
{{- range $toleration := $out.value -}}
{{- if not (include "perijove.open" (dict "of" $toleration "template" $template)) -}}{{- $tolerations = append $tolerations $toleration -}}{{- end -}}
{{- end -}}
{{- $terms := $settings.node_affinity_required -}}
{{- $template = false -}}
{{- if and $config (hasKey $config "affinity") -}}
{{- $template = true -}}
{{- $affinity := $config.affinity -}}
{{- range $names := list (list "nodeAffinity" "node_affinity") (list "requiredDuringSchedulingIgnoredDuringExecution" "required_during_scheduling_ignored_during_execution") (list "nodeSelectorTerms" "node_selector_terms") -}}
{{- $_ := include "perijove.field" (dict "config" $affinity "camel" (first $names) "snake" (last $names) "else" nil "out" $out) -}}
{{- $affinity = $out.value -}}
{{- end -}}
{{- $terms = $affinity -}}
{{- end -}}
{{- $unknown = print $unknown (include "perijove.open" (dict "of" $terms "template" $template)) -}}
{{- $_ := include "perijove.items" (dict "of" $terms "out" $out) -}}
{{- $affinity := $out.value -}}
{{- /* A node by its name is required beside what each term asks for. */ -}}
{{- $_ := include "perijove.field" (dict "config" $config "camel" "nodeName" "snake" "node_name" "else" nil "out" $out) -}}
{{- if and $out.value (kindIs "string" $out.value) -}}
{{- $unknown = print $unknown (include "perijove.open" (dict "of" $out.value "template" true)) -}}
{{- $field := dict "key" "metadata.name" "operator" "In" "values" (list $out.value) -}}
{{- $named := list -}}
{{- range $term := $affinity | default (list dict) -}}
{{- if kindIs "map" $term -}}{{- $term = merge (dict "matchFields" (append ($term.matchFields | default list) $field)) $term -}}{{- end -}}
{{- $named = append $named $term -}}
{{- end -}}
{{- $affinity = $named -}}
{{- end -}}
{{- $_ := include "perijove.extended" (dict "settings" $settings "out" $out) -}}
{{- $extended := $out.value -}}
{{- $unknown = print $unknown (include "perijove.open" (dict "of" $extended "template" false)) -}}
{{- if $unknown -}}
{{- $_ := set .out "value" "" -}}
{{- else -}}
{{- $taken := list -}}
{{- range $tolerations -}}{{- $taken = append $taken (toJson .) -}}{{- end -}}
{{- $wanted := list -}}
{{- range $affinity -}}{{- $wanted = append $wanted (toJson .) -}}{{- end -}}
{{- $place := toJson (list $selector (sortAlpha (uniq $taken)) (sortAlpha (uniq $wanted)) $extended) -}}
{{- if not (hasKey .set.byPlace $place) -}}
{{- $number := printf "%06d" (len .set.groups) -}}
{{- $_ := set .set.byPlace $place $number -}}
{{- $_ := set .set.groups $number (dict "selector" $selector "tolerations" $tolerations "affinity" $affinity "extended" $extended "images" dict "secrets" list) -}}
{{- end -}}
{{- $_ := set .out "value" (get .set.byPlace $place) -}}
{{- end -}}
{{- end -}}

{{/* Resources as `nvidia.com/gpu` that any container of the pod asks for, sorted. */}}
{{- define "perijove.extended" -}}
{{- $settings := .settings -}}
{{- $config := $settings.extra_pod_config -}}
{{- $out := dict -}}
{{- $asking := list -}}
{{- $lists := list -}}
{{- if and $config (hasKey $config "containers") -}}
{{- $lists = list $config.containers -}}
{{- else -}}
{{- $own := $settings.extra_container_config | default dict -}}
{{- /* It replaces what the settings say. */ -}}
{{- $asking = list (ternary $own.resources (dict "limits" $settings.extra_resource_limits "requests" $settings.extra_resource_guarantees) (hasKey $own "resources")) -}}
{{- $lists = list $settings.extra_containers -}}
{{- end -}}
{{- $_ := include "perijove.field" (dict "config" $config "camel" "initContainers" "snake" "init_containers" "else" $settings.init_containers "out" $out) -}}
{{- range $containers := append $lists $out.value -}}
{{- $_ := include "perijove.items" (dict "of" $containers "out" $out) -}}
{{- range $container := $out.value -}}
{{- if kindIs "map" $container -}}{{- $asking = append $asking $container.resources -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $names := list -}}
{{- range $resources := $asking -}}
{{- if kindIs "map" $resources -}}
{{- range $amounts := list $resources.limits $resources.requests -}}
{{- if kindIs "map" $amounts -}}
{{- range $name, $count := $amounts -}}
{{- if and (contains "/" $name) $count (ne (toString $count) "0") -}}{{- $names = append $names $name -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $_ := set .out "value" (sortAlpha (uniq $names)) -}}
{{- end -}}

{{/* Whether a text is an image reference (as crates/oci/src/reference.rs has it, lengths too). */}}
{{- define "perijove.isReference" -}}
{{- $part := "[a-z0-9]+(?:(?:\\.|__?|-+)[a-z0-9]+)*" -}}
{{- $host := "(?:(?:[A-Za-z0-9-]*[.:][A-Za-z0-9.:\\[\\]-]*|localhost)/)?" -}}
{{- if regexMatch (printf "^%s%s(?:/%s)*(?::[A-Za-z0-9_][A-Za-z0-9._-]*)?(?:@sha(?:256|512):[0-9a-f]+)?$" $host $part $part) . -}}
{{- if and (le (len .) 128) (not (contains "@" .)) -}}yes
{{- else -}}
{{- $name := first (splitList "@" .) -}}
{{- $digest := trimPrefix $name . -}}
{{- $tag := last (splitList "/" $name) | splitList ":" | rest | join "" -}}
{{- $repository := regexReplaceAll "^\\[[^/]*/|:[^/]*\\]$" (include "perijove.normal" $name) "" -}}
{{- $isDigest := has (len $digest) (list 0 (ternary 72 136 (hasPrefix "@sha256" $digest))) -}}
{{- if and $isDigest (le (len $tag) 128) (le (len $repository) 255) -}}yes{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The number of an image, kept once however it is spelled; nothing where a user or code would complete its name. */}}
{{- define "perijove.image" -}}
{{- $_ := include "perijove.check" (dict "value" .text "kinds" (list "string") "expected" "an image as text" "at" .where) -}}
{{- $_ := set .out "value" "" -}}
{{- if not (or (contains (include "perijove.any" .) .text) (hasPrefix "ENC[" .text) (and .template (contains "{" .text))) -}}
{{- if not (hasKey .set.byName .text) -}}
{{- if ne "yes" (include "perijove.isReference" .text) -}}
{{- fail (printf "%s: `%s` is not an image reference: expected [registry/]repository[:tag][@digest] with a lower-case repository" .where .text) -}}
{{- end -}}
{{- $normal := include "perijove.normal" .text -}}
{{- if not (hasKey .set.byName $normal) -}}
{{- $number := printf "%06d" (len .set.images) -}}
{{- $_ := set .set.byName $normal $number -}}
{{- $_ := set .set.images $number (dict "image" .text "policy" "" "said" "" "unsaid" false "latest" (hasSuffix ":latest" (first (splitList "@" (trimSuffix "]" $normal)))) "placed" false) -}}
{{- end -}}
{{- $_ := set .set.byName .text (get .set.byName $normal) -}}
{{- end -}}
{{- $number := get .set.byName .text -}}
{{- $image := index .set.images $number -}}
{{- /* The strictest policy; beside uses that leave it to Kubernetes, its own default counts. */ -}}
{{- $ranks := dict "Always" 1 "IfNotPresent" 2 "Never" 3 -}}
{{- $said := "" -}}
{{- if kindIs "string" .policy -}}{{- if not (contains (include "perijove.any" .) .policy) -}}{{- $said = .policy -}}{{- end -}}{{- end -}}
{{- if not $said -}}
{{- $_ := set $image "unsaid" true -}}
{{- else if or (eq $image.said "") (lt (int (get $ranks $said | default 4)) (int (get $ranks $image.said | default 4))) -}}
{{- $_ := set $image "said" $said -}}
{{- end -}}
{{- $default := ternary "Always" "IfNotPresent" $image.latest -}}
{{- $weaker := and $image.said (lt (int (get $ranks $default)) (int (get $ranks $image.said | default 4))) -}}
{{- $_ := set $image "policy" (ternary $default $image.said (and $image.unsaid (eq "true" (toString $weaker)))) -}}
{{- $_ := set .out "value" $number -}}
{{- end -}}
{{- end -}}

{{/* Registry, `library/` and `:latest` written out: equal for equal images. In brackets, apart from what users write. */}}
{{- define "perijove.normal" -}}
{{- $registry := "docker.io" -}}
{{- $rest := . -}}
{{- $parts := splitn "/" 2 . -}}
{{- if and (contains "/" .) (or (contains "." $parts._0) (contains ":" $parts._0) (eq "localhost" $parts._0)) -}}
{{- $registry = $parts._0 -}}
{{- $rest = $parts._1 -}}
{{- if has $registry (list "index.docker.io" "registry-1.docker.io") -}}{{- $registry = "docker.io" -}}{{- end -}}
{{- end -}}
{{- if and (eq $registry "docker.io") (not (contains "/" (regexReplaceAll "[:@].*" $rest ""))) -}}{{- $rest = print "library/" $rest -}}{{- end -}}
{{- if not (or (contains ":" $rest) (contains "@" $rest)) -}}{{- $rest = print $rest ":latest" -}}{{- end -}}
{{- printf "[%s/%s]" $registry $rest -}}
{{- end -}}

{{/* An image is needed in a group, and pulled with these secrets. */}}
{{- define "perijove.land" -}}
{{- $_ := set (index .set.images .image) "placed" true -}}
{{- $group := index .set.groups .group -}}
{{- $_ := set $group.images .image "" -}}
{{- range $secret := .secrets -}}
{{- if not (has $secret $group.secrets) -}}{{- $_ := set $group "secrets" (append $group.secrets $secret) -}}{{- end -}}
{{- end -}}
{{- end -}}
