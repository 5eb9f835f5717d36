{{/*
The kinds of what is read, where a value of another kind would end in a template's own words. values.schema.json says
the same of the first two levels, and ends there: a schema cannot say "at any of four levels".
*/}}

{{/* Refuses values of a deployment that are of another kind, null aside. A key comes behind those that it lies below. */}}
{{- define "perijove.kinds" -}}
{{- $at := . -}}
{{- $mappings := list "hub" "hub.config" "hub.labels" "hub.extraFiles" -}}
{{- $mappings = concat $mappings (list "singleuser" "singleuser.image" "singleuser.networkTools" "singleuser.storage" "singleuser.cloudMetadata" "singleuser.extraResource" "singleuser.extraNodeAffinity") -}}
{{- $mappings = concat $mappings (list "scheduling" "scheduling.userPods" "scheduling.userPods.nodeAffinity" "scheduling.podPriority" "scheduling.corePods") -}}
{{- $mappings = concat $mappings (list "imagePullSecret" "rbac" "prePuller" "prePuller.extraImages") -}}
{{- range $one := list "labels" "annotations" "resources" "containerSecurityContext" "hook" "hook.nodeSelector" "hook.resources" "hook.containerSecurityContext" "hook.daemonsetAnnotations" "hook.serviceAccount" "hook.serviceAccount.annotations" "hook.serviceAccountImagePuller" "hook.serviceAccountImagePuller.annotations" "continuous" "continuous.daemonsetAnnotations" "continuous.serviceAccount" "continuous.serviceAccount.annotations" -}}
{{- $mappings = append $mappings (print "prePuller." $one) -}}
{{- end -}}
{{- $lists := list "imagePullSecrets" "scheduling.corePods.tolerations" "prePuller.hook.tolerations" "prePuller.extraTolerations" -}}
{{- $numbers := list "scheduling.podPriority.imagePullerPriority" "prePuller.revisionHistoryLimit" "prePuller.hook.podSchedulingWaitDuration" -}}
{{- range $rule := list (list "a mapping" $mappings "map") (list "a list" $lists "slice") (list "a number" $numbers "float64" "int64" "int") -}}
{{- range $path := index $rule 1 -}}
{{- $value := $at.values -}}
{{- range $key := splitList "." $path -}}{{- $value = index ($value | default dict) $key -}}{{- end -}}
{{- $_ := include "perijove.check" (dict "value" $value "kinds" (slice $rule 2) "expected" (first $rule) "at" (print $at.path $path)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
