{{/*
Names and labels. A name is at most 63 characters: `base` has 38, "-continuous-" and a hash of 12 follow.
*/}}

{{/*
The beginning of every name. No two releases have the same: all but `perijove` itself end in `-perijove`, which the
release's name may do, too; what had to be shortened or changed carries a hash.
*/}}
{{- define "perijove.name" -}}
{{- $wanted := .Values.perijove.fullnameOverride | default (ternary .Release.Name (print .Release.Name "-perijove") (eq .Release.Name "perijove")) -}}
{{- $clean := regexReplaceAll "[^a-z0-9-]" (lower $wanted) "-" -}}
{{- if or (ne $clean $wanted) (gt (len $clean) 38) (not (regexMatch "^[a-z].*[a-z0-9]$" $clean)) -}}
{{- $clean = print (printf "p%s" (trimAll "-" $clean) | trunc 29 | trimSuffix "-") "-" (sha256sum $wanted | trunc 8) -}}
{{- end -}}
{{- $clean -}}
{{- end -}}

{{/* For what lies outside of the namespace: names of the same release in other namespaces differ. */}}
{{- define "perijove.clusterName" -}}
{{- print (include "perijove.name" .) "-" (printf "%s/%s" .Release.Namespace .Release.Name | sha256sum | trunc 8) -}}
{{- end -}}

{{/* Labels that select: of `component`. */}}
{{- define "perijove.selector" -}}
app.kubernetes.io/name: perijove
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of an object; those of hooks can go at any time. */}}
{{- define "perijove.labels" -}}
{{ include "perijove.selector" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ print .root.Chart.Name "-" .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- if not (hasPrefix "continuous" .component) }}
hub.jupyter.org/deletable: "true"
{{- end }}
{{- end -}}

{{/*
Labels of pods: `hub.labels` and `prePuller.labels` of the user's values, but none of those that open the hub's network
policies, and none of ours. No versions: continuous pullers have no reason to be made again for them.
*/}}
{{- define "perijove.podLabels" -}}
{{- $z2jh := fromJson (include "perijove.first" .root) -}}
{{- $labels := dict -}}
{{- range list ($z2jh.hub | default dict).labels ($z2jh.prePuller | default dict).labels -}}
{{- range $label, $value := . -}}
{{- if not (or (hasPrefix "hub.jupyter.org/network-access" $label) (hasPrefix "app.kubernetes.io/" $label) (hasPrefix "perijove.jupyter.org/" $label) (kindIs "invalid" $value)) -}}
{{- $_ := set $labels $label (toString $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $labels }}{{ toYaml . }}
{{ end -}}
{{ include "perijove.selector" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- if not (hasPrefix "continuous" .component) }}
hub.jupyter.org/deletable: "true"
{{- end }}
{{- end -}}

{{/* Annotations of pods: `prePuller.annotations`. */}}
{{- define "perijove.podAnnotations" -}}
{{- range $key, $value := (fromJson (include "perijove.first" .)).prePuller.annotations }}
{{- if not (kindIs "invalid" $value) }}
{{ $key }}: {{ toString $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The keys of Zero to JupyterHub that are no part of the image set: of the first deployment, as JSON. */}}
{{- define "perijove.first" -}}
{{- $_ := include "perijove.set" . -}}
{{- $set := index .Values "perijove.computed" -}}
{{- if not (hasKey $set "first") -}}
{{- $values := (index (values (pick $set.deployments (keys $set.deployments | sortAlpha | first))) 0).values -}}
{{- $first := dict "hub" (pick ($values.hub | default dict) "labels") "imagePullSecrets" ($values.imagePullSecrets | default list) "imagePullSecret" ($values.imagePullSecret | default dict) "rbac" ($values.rbac | default dict) -}}
{{- $_ := set $first "prePuller" (omit ($values.prePuller | default dict) "extraImages" "pause") -}}
{{- $_ := set $first "scheduling" (pick ($values.scheduling | default dict) "podPriority" "corePods") -}}
{{- range $key := list "hook" "continuous" -}}
{{- $_ := set $first.prePuller $key ((index $first.prePuller $key) | default dict) -}}
{{- end -}}
{{- $_ := set $set "first" (toJson $first) -}}
{{- end -}}
{{- $set.first -}}
{{- end -}}

{{/*
Annotations of what is there for one upgrade alone. Helm and Argo CD each have their own words for it. In Helm all
DaemonSets come before the Job (Helm waits for Jobs only). In Argo CD they share a wave, since Argo CD waits for all
of a wave before it begins the next.
*/}}
{{- define "perijove.hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
argocd.argoproj.io/hook: PreSync
argocd.argoproj.io/hook-delete-policy: BeforeHookCreation,HookSucceeded,HookFailed
argocd.argoproj.io/sync-wave: {{ .wave | quote }}
{{- end -}}

{{/* Name and reference of the secret made of `imagePullSecret`: one of the hook, one to stay. */}}
{{- define "perijove.secret" -}}
{{- print (include "perijove.name" .root) "-pull-" .for -}}
{{- end -}}

{{/* A service account's name: the user's, else `default` where none is made, else ours. */}}
{{- define "perijove.account" -}}
{{- $account := .account | default dict -}}
{{- $make := or (not (hasKey $account "create")) $account.create -}}
{{- $account.name | default (ternary .own "default" (eq (toString $make) "true")) -}}
{{- end -}}

{{- define "perijove.makesAccount" -}}
{{- $account := . | default dict -}}
{{- if or (not (hasKey $account "create")) $account.create -}}yes{{- end -}}
{{- end -}}

{{- define "perijove.hookPullerAccount" -}}
{{- include "perijove.account" (dict "account" (fromJson (include "perijove.first" .)).prePuller.hook.serviceAccountImagePuller "own" (print (include "perijove.name" .) "-hook-puller")) -}}
{{- end -}}

{{- define "perijove.continuousAccount" -}}
{{- include "perijove.account" (dict "account" (fromJson (include "perijove.first" .)).prePuller.continuous.serviceAccount "own" (print (include "perijove.name" .) "-continuous")) -}}
{{- end -}}

{{/*
The awaiter's Job, account and role are named after the run: an awaiter that an interrupted upgrade has left behind
keeps its rights until it has cleaned up.
*/}}
{{- define "perijove.awaitName" -}}
{{- print (include "perijove.name" .) "-await-" (include "perijove.runOnce" .) -}}
{{- end -}}

{{- define "perijove.awaitAccount" -}}
{{- include "perijove.account" (dict "account" (fromJson (include "perijove.first" .)).prePuller.hook.serviceAccount "own" (include "perijove.awaitName" .)) -}}
{{- end -}}

{{/* Whether roles are made: `rbac.create`. */}}
{{- define "perijove.makesRoles" -}}
{{- if ne "false" (toString ((fromJson (include "perijove.first" .)).rbac).create) -}}yes{{- end -}}
{{- end -}}

{{/* Whether there is anything to keep. */}}
{{- define "perijove.continuous" -}}
{{- if and .Values.perijove.continuous.enabled (ne "0" (include "perijove.count" .)) -}}yes{{- end -}}
{{- end -}}

{{- define "perijove.continuousHash" -}}
{{- list .root.Release.Namespace .root.Release.Name (pick .group "selector" "tolerations" "affinity" "extended") | toJson | sha256sum | trunc 12 -}}
{{- end -}}

{{/* What is there for `helm test` alone; Argo CD knows no such thing and leaves it out. */}}
{{- define "perijove.test" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/* Pullers speak to nobody (the kubelet pulls), awaiters to the API server, whose address nobody here knows. */}}
{{- define "perijove.networkPolicy" -}}
podSelector:
  matchLabels: {{- include "perijove.selector" . | nindent 4 }}
policyTypes: [Ingress, Egress]
ingress: []
{{- if hasSuffix "awaiter" .component }}
egress:
  - ports:
    {{- range .root.Values.perijove.networkPolicies.apiServerPorts }}
      - {protocol: TCP, port: {{ . }}}
    {{- else }}
      - {protocol: TCP}
    {{- end }}
{{- else }}
egress: []
{{- end }}
{{- end -}}

{{/* The secret's content, from `imagePullSecret`. */}}
{{- define "perijove.dockerconfig" -}}
{{- range $key := list "registry" "username" "password" -}}
{{- if not (index $ $key) -}}{{- fail (printf "imagePullSecret.%s: missing, while imagePullSecret.create is true" $key) -}}{{- end -}}
{{- end -}}
{{- $login := dict "username" (toString .username) "password" (toString .password) "auth" (printf "%s:%s" (toString .username) (toString .password) | b64enc) -}}
{{- if .email -}}{{- $_ := set $login "email" .email -}}{{- end -}}
{{- dict "auths" (dict .registry $login) | toJson | b64enc -}}
{{- end -}}
