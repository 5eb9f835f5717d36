{{/*
The pods of the pullers: one for each group of nodes, with one container for each image, so that every image has a
status of its own and a bad one never stops the others.
*/}}

{{/*
The groups in the order in which they are to be pulled, each with its images in order, as `.rendered` of the set:
`groups`, each with the `digest` of all it says, and `tolerations` of every puller. A node that takes several groups pulls in the order in which their DaemonSets were made.
*/}}
{{- define "perijove.groups" -}}
{{- $_ := include "perijove.set" . -}}
{{- $set := index .Values "perijove.computed" -}}
{{- if not (hasKey $set "rendered") -}}
{{- $sorted := dict -}}
{{- range $number, $group := $set.groups -}}
{{- if $group.images -}}
{{- $images := list -}}
{{- range $image, $_ := $group.images -}}{{- $images = append $images (omit (index $set.images $image) "placed") -}}{{- end -}}
{{- $size := ternary (len $images) 0 (eq $.Values.perijove.order "smallest-first") -}}
{{- $_ := set $sorted (printf "%06d %s" $size $number) (merge (dict "images" $images) (omit $group "images")) -}}
{{- end -}}
{{- end -}}
{{- $groups := list -}}
{{- range $_, $group := $sorted -}}
{{- $_ := set $group "digest" (toJson $group | sha256sum) -}}
{{- $groups = append $groups $group -}}
{{- end -}}
{{- $_ := set $set "rendered" (dict "groups" $groups "tolerations" $set.tolerations) -}}
{{- end -}}
{{- end -}}

{{/* How many groups there are. */}}
{{- define "perijove.count" -}}
{{- $_ := include "perijove.groups" . -}}
{{- len (index .Values "perijove.computed").rendered.groups -}}
{{- end -}}

{{/* Whether images are mounted as volumes, and nothing of theirs is run. */}}
{{- define "perijove.imageVolumes" -}}
{{- if or (eq .Values.perijove.mode "image-volumes") (and (eq .Values.perijove.mode "auto") (semverCompare ">=1.35.0-0" .Capabilities.KubeVersion.Version)) -}}yes{{- end -}}
{{- end -}}

{{- define "perijove.image.ours" -}}
{{- with .Values.perijove.image -}}{{ .name }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}

{{/* What every container is held to; users' own settings go over it. */}}
{{- define "perijove.security" -}}
{{- $own := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "runAsNonRoot" true "runAsUser" 65534 "runAsGroup" 65534 "capabilities" (dict "drop" (list "ALL")) "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- range $key, $value := . -}}{{- if not (kindIs "invalid" $value) -}}{{- $_ := set $own $key $value -}}{{- end -}}{{- end -}}
{{- toYaml $own -}}
{{- end -}}

{{- define "perijove.podSecurity" -}}
fsGroup: 65534
runAsGroup: 65534
runAsNonRoot: true
runAsUser: 65534
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/*
Tolerations of a group's puller: those of its pods, `prePuller.extraTolerations`, the taint that marks nodes with an
extended resource (pods that ask for the resource pass by an admission plugin; a puller asks for none), and nodes that
are new or lost: a puller that did not tolerate them would drop out of the count without a word.
*/}}
{{- define "perijove.tolerations" -}}
{{- $all := concat .group.tolerations .tolerations -}}
{{- range $resource := .group.extended -}}{{- $all = append $all (dict "key" $resource "operator" "Exists") -}}{{- end -}}
{{- range $taint := list "not-ready" "unreachable" -}}{{- $all = append $all (dict "key" (print "node.kubernetes.io/" $taint) "operator" "Exists") -}}{{- end -}}
{{- $seen := dict -}}
{{- $kept := list -}}
{{- range $toleration := $all -}}
{{- if not (hasKey $seen (toJson $toleration)) -}}{{- $kept = append $kept $toleration -}}{{- $_ := set $seen (toJson $toleration) "" -}}{{- end -}}
{{- end -}}
{{- toYaml $kept -}}
{{- end -}}

{{/* The names of the secrets that a group's images, and ours, are pulled with. */}}
{{- define "perijove.pullSecrets" -}}
{{- $z2jh := fromJson (include "perijove.first" .root) -}}
{{- $made := print (include "perijove.name" .root) "-pull-" .for -}}
{{- $names := list -}}
{{- range $secret := concat .secrets (.root.Values.perijove.image.pullSecrets | default list) -}}
{{- $name := $secret -}}
{{- if kindIs "map" $secret -}}{{- $name = $secret.name -}}{{- end -}}
{{- if and (eq $name "image-pull-secret") $z2jh.imagePullSecret.create -}}{{- $name = $made -}}{{- end -}}
{{- if and $name (not (has $name $names)) -}}{{- $names = append $names $name -}}{{- end -}}
{{- end -}}
{{- $refs := list -}}
{{- range $name := $names -}}{{- $refs = append $refs (dict "name" $name) -}}{{- end -}}
{{- if $refs -}}{{- toYaml $refs -}}{{- end -}}
{{- end -}}

{{/* The pod of `group`; `for` is hook or continuous. */}}
{{- define "perijove.pullerPod" -}}
{{- $root := .root -}}
{{- $z2jh := fromJson (include "perijove.first" .root) -}}
{{- $volumes := eq "yes" (include "perijove.imageVolumes" .root) -}}
{{- $security := include "perijove.security" $z2jh.prePuller.containerSecurityContext -}}
{{- $resources := toYaml ($z2jh.prePuller.resources | default .root.Values.perijove.puller.resources) -}}
{{- $ours := include "perijove.image.ours" .root -}}
{{- $policy := .root.Values.perijove.image.pullPolicy -}}
automountServiceAccountToken: false
enableServiceLinks: false
serviceAccountName: {{ .account }}
terminationGracePeriodSeconds: 0
{{- with .priority }}
priorityClassName: {{ . }}
{{- end }}
securityContext: {{- include "perijove.podSecurity" . | nindent 2 }}
{{- with .group.selector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .group.affinity }}
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms: {{- toYaml . | nindent 8 }}
{{- end }}
tolerations: {{- include "perijove.tolerations" . | nindent 2 }}
{{- with include "perijove.pullSecrets" (dict "root" .root "for" .for "secrets" .group.secrets) }}
imagePullSecrets: {{- . | nindent 2 }}
{{- end }}
{{- if not $volumes }}
initContainers:
  - name: install
    image: {{ $ours | quote }}
    {{- with $policy }}
    imagePullPolicy: {{ . }}
    {{- end }}
    args: [noop, --install, /perijove/noop]
    securityContext: {{- $security | nindent 6 }}
    resources: {{- $resources | nindent 6 }}
    volumeMounts: [{name: perijove, mountPath: /perijove}]
{{- end }}
containers:
{{- range $index, $image := .group.images }}
  - name: image-{{ $index }}
    {{- if $volumes }}
    image: {{ $ours | quote }}
    {{- with $policy }}
    imagePullPolicy: {{ . }}
    {{- end }}
    args: [noop]
    volumeMounts: [{name: image-{{ $index }}, mountPath: /image, readOnly: true}]
    {{- else }}
    image: {{ $image.image | quote }}
    {{- with $image.policy }}
    imagePullPolicy: {{ . }}
    {{- end }}
    command: [/perijove/noop]
    workingDir: /
    volumeMounts: [{name: perijove, mountPath: /perijove, readOnly: true}]
    {{- end }}
    securityContext: {{- $security | nindent 6 }}
    resources: {{- $resources | nindent 6 }}
{{- end }}
volumes:
{{- if $volumes }}
{{- range $index, $image := .group.images }}
  - name: image-{{ $index }}
    image:
      reference: {{ $image.image | quote }}
      {{- with $image.policy }}
      pullPolicy: {{ . }}
      {{- end }}
{{- end }}
{{- else }}
  - name: perijove
    emptyDir: {sizeLimit: 32Mi}
{{- end }}
{{- end -}}

{{/* The class of the pullers, where `scheduling.podPriority` is on. */}}
{{- define "perijove.priority" -}}
{{- $priority := (fromJson (include "perijove.first" .root)).scheduling.podPriority | default dict -}}
{{- if $priority.enabled -}}{{- print (include "perijove.clusterName" .root) "-" .for -}}{{- end -}}
{{- end -}}

{{/* The value of that class: a whole number, Zero to JupyterHub's own where none is said. */}}
{{- define "perijove.priorityValue" -}}
{{- $value := (fromJson (include "perijove.first" .)).scheduling.podPriority.imagePullerPriority -}}
{{- if kindIs "invalid" $value -}}-5{{- else -}}{{- int64 $value -}}{{- end -}}
{{- end -}}
