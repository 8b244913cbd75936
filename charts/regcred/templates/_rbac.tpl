{{- /*
The rights that each Kubernetes target needs, and no others: docs/kubernetes.md lists
them.
*/}}

{{- /* The Kubernetes targets, as a YAML list; `regcred deis` has one of its own. */}}
{{- define "regcred.kubernetesTargets" -}}
{{- $targets := list }}
{{- if include "regcred.refreshes" . }}
{{- $targets = list (dict "secret_name" (include "regcred.pullSecretName" .)) }}
{{- else if not (include "regcred.refresher" .) }}
{{- range default list (default dict .Values.config).targets }}
{{- if hasKey . "kubernetes" }}
{{- $targets = append $targets (default dict .kubernetes) }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $targets }}
{{- end }}

{{- /* The rules for one target's Secrets, ServiceAccounts and Events. */}}
{{- define "regcred.targetRules" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: {{ concat (list (default "regcred" .secret_name)) (default list .adopt) | toJson }}
  verbs: [get, list, watch, update, patch, delete]
{{- with .service_accounts }}
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, list, watch, patch]
{{- end }}
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- /*
A Role or a ClusterRole of a target, and its binding. Takes root, kind, name, target,
and the namespace of a Role.
*/}}
{{- define "regcred.role" -}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}
metadata:
  {{- include "regcred.roleMetadata" . | nindent 2 }}
rules:
  {{- include "regcred.targetRules" .target | nindent 2 }}
  {{- if eq .kind "ClusterRole" }}
  - apiGroups: [""]
    resources: [namespaces]
    verbs: [get, list, watch]
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  {{- include "regcred.roleMetadata" . | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "regcred.serviceAccountName" .root }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}

{{- define "regcred.roleMetadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- include "regcred.labels" .root | nindent 2 }}
{{- end }}
