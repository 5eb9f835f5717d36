{{/*
The awaiter: the Job of the hook, and the pod of `helm test`.
*/}}

{{/* The hook's run: one for each release, revision, namespace and image set. Names and labels of a run end in it. */}}
{{- define "perijove.run" -}}
{{- $_ := include "perijove.groups" . -}}
{{- $digests := list (index .Values "perijove.computed").rendered.tolerations -}}
{{- range (index .Values "perijove.computed").rendered.groups -}}{{- $digests = append $digests .digest -}}{{- end -}}
{{- list .Release.Namespace .Release.Name .Release.Revision .Values.perijove.runId (include "perijove.imageVolumes" .) $digests | toJson | sha256sum | trunc 12 -}}
{{- end -}}

{{/* The names of the hook's DaemonSets, in pulling order, as {"names": […]}. */}}
{{- define "perijove.hookNames" -}}
{{- $names := list -}}
{{- $_ := include "perijove.groups" . -}}
{{- range $group := (index .Values "perijove.computed").rendered.groups -}}
{{- $names = append $names (include "perijove.hookName" (dict "root" $ "group" $group)) -}}
{{- end -}}
{{- toJson (dict "names" $names) -}}
{{- end -}}

{{- define "perijove.hookHash" -}}
{{- print (include "perijove.runOnce" .root) .group.digest | sha256sum | trunc 12 -}}
{{- end -}}

{{- define "perijove.hookName" -}}
{{- print (include "perijove.name" .root) "-hook-" (include "perijove.hookHash" .) -}}
{{- end -}}

{{- define "perijove.runOnce" -}}
{{- $_ := include "perijove.set" . -}}
{{- $set := index .Values "perijove.computed" -}}
{{- if not (hasKey $set "run") -}}{{- $_ := set $set "run" (include "perijove.run" .) -}}{{- end -}}
{{- $set.run -}}
{{- end -}}

{{/* Seconds of `10m`, `90s`, `1h` or a number. */}}
{{- define "perijove.seconds" -}}
{{- $text := toString . -}}
{{- $units := dict "h" 3600 "m" 60 "s" 1 -}}
{{- $unit := regexFind "[hms]$" $text | default "s" -}}
{{- $seconds := mul (int (regexFind "^[0-9]+" $text)) (get $units $unit) -}}
{{- if gt (int $seconds) 604800 -}}{{- fail (printf "perijove.hook.deadline: %s is longer than a week (168h)" $text) -}}{{- end -}}
{{- $seconds -}}
{{- end -}}

{{/* Whether there is anything to wait for. */}}
{{- define "perijove.hooks" -}}
{{- if and .Values.perijove.hook.enabled (ne "0" (include "perijove.count" .)) -}}yes{{- end -}}
{{- end -}}

{{/* The pod that runs the awaiter with `args`. The token is short-lived and renewed by the kubelet. */}}
{{- define "perijove.awaitPod" -}}
{{- $z2jh := fromJson (include "perijove.first" .root) -}}
{{- $hook := $z2jh.prePuller.hook -}}
{{- $own := .root.Values.perijove -}}
automountServiceAccountToken: false
enableServiceLinks: false
serviceAccountName: {{ .account }}
restartPolicy: Never
terminationGracePeriodSeconds: 30
securityContext: {{- include "perijove.podSecurity" . | nindent 2 }}
{{- with $hook.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- $core := ($z2jh.scheduling.corePods | default dict).tolerations -}}
{{- if kindIs "invalid" $core -}}
{{- $core = list -}}
{{- range $key := list "hub.jupyter.org/dedicated" "hub.jupyter.org_dedicated" -}}{{- $core = append $core (dict "key" $key "operator" "Equal" "value" "core" "effect" "NoSchedule") -}}{{- end -}}
{{- end -}}
{{- with concat $core ($hook.tolerations | default list) }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- $secrets := $z2jh.imagePullSecrets }}
{{- if and $z2jh.imagePullSecret.create $z2jh.imagePullSecret.automaticReferenceInjection }}{{ $secrets = prepend $secrets "image-pull-secret" }}{{ end }}
{{- with include "perijove.pullSecrets" (dict "root" .root "for" .for "secrets" $secrets) }}
imagePullSecrets: {{- . | nindent 2 }}
{{- end }}
containers:
  - name: await
    image: {{ include "perijove.image.ours" .root | quote }}
    {{- with $own.image.pullPolicy }}
    imagePullPolicy: {{ . }}
    {{- end }}
    args: {{- toYaml .args | nindent 6 }}
    {{- if eq .for "hook" }}
    env: [{name: JOB_UID, valueFrom: {fieldRef: {fieldPath: "metadata.labels['controller-uid']"}}}]
    {{- end }}
    securityContext: {{- include "perijove.security" $hook.containerSecurityContext | nindent 6 }}
    resources: {{- toYaml ($hook.resources | default $own.hook.resources) | nindent 6 }}
    volumeMounts:
      - {name: api, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
volumes:
  - name: api
    projected:
      sources:
        - serviceAccountToken: {path: token, expirationSeconds: {{ $own.hook.tokenSeconds }}}
        - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
        - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- end -}}

{{/* What an awaiter reads: never more than this. */}}
{{- define "perijove.reads" -}}
- apiGroups: [apps]
  resources: [daemonsets]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [get, list, watch]
{{- end -}}
