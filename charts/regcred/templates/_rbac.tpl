{{- /*
The rights that each Kubernetes target needs, and no others: docs/kubernetes.md lists
them.
*/}}

{{- /*
The targets that are this cluster, as a YAML list: those with a kubeconfig are others.
`regcred deis` has one of its own.
*/}}
{{- define "regcred.kubernetesTargets" -}}
{{- $targets := list }}
{{- if include "regcred.refreshes" . }}
{{- $targets = list (dict "secret_name" (include "regcred.pullSecretName" .)) }}
{{- else if not (include "regcred.refresher" .) }}
{{- range default list (default dict .Values.config).targets }}
{{- if and (hasKey . "kubernetes") (not (default dict .kubernetes).kubeconfig) }}
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
  resourceNames: [{{ default "regcred" .secret_name | quote }}]
  verbs: [get, list, watch, update, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [create] # no name can be given to this one
{{- with .service_accounts }}
- apiGroups: [""]
  resources: [serviceaccounts]
  {{- if not (has "*" .) }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [get, list, watch, patch]
{{- end }}
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end }}

{{- /* The rules of a target that serves namespaces wherever they are. */}}
{{- define "regcred.clusterRules" -}}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
{{ include "regcred.targetRules" . }}
{{- end }}

{{- /* The rules for the Lease that replicas hold in turn. */}}
{{- define "regcred.leaderRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ quote .name }}]
  verbs: [get, update]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create] # no name can be given to this one
{{- end }}

{{- /* The rules for asking this cluster about pods' tokens, "" where nobody does. */}}
{{- define "regcred.reviewRules" -}}
{{- $reviews := false }}
{{- $labels := false }}
{{- range default list (default dict .Values.config).kubernetes_tokens }}
{{- if and (not (include "regcred.refresher" $)) (hasKey . "review") (not (default dict .review).kubeconfig) }}
{{- $reviews = true }}
{{- $labels = or $labels (dig "scope" "organization_label" "" .) (dig "scope" "preset" "" .) }}
{{- end }}
{{- end }}
{{- if $reviews }}
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
{{- end }}
{{- if $labels }}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end }}
{{- end }}

{{- /* "true" where the pod needs its ServiceAccount's token. */}}
{{- define "regcred.usesCluster" -}}
{{- $tokens := and (not (include "regcred.refresher" .)) (default dict .Values.config).kubernetes_tokens }}
{{- if or (include "regcred.kubernetesTargets" . | fromYamlArray) $tokens }}true{{ end }}
{{- end }}

{{- /*
A Role or a ClusterRole and its binding to the pod's ServiceAccount. Takes root, kind,
name, rules in YAML, and the namespace of a Role.
*/}}
{{- define "regcred.role" -}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}
metadata:
  {{- include "regcred.roleMetadata" . | nindent 2 }}
rules:
  {{- .rules | nindent 2 }}
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
    name: {{ include "regcred.serviceAccountName" .root | quote }}
    namespace: {{ quote .root.Release.Namespace }}
{{- end }}

{{- define "regcred.roleMetadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ quote . }}
{{- end }}
labels:
  {{- include "regcred.labels" .root | nindent 2 }}
{{- end }}
