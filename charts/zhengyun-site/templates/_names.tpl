{{/* The namespace is fixed: policies, roles and the operator name it. */}}
{{- define "zhengyun-site.namespace" -}}
{{- if ne .Release.Namespace "zhengyun-system" -}}
{{- fail (printf "the namespace is %s: install with --namespace zhengyun-system" .Release.Namespace) -}}
{{- end -}}
zhengyun-system
{{- end -}}

{{/* Labels of everything. The chart's own objects carry no zhengyun.io/ label: those mark what was delivered. */}}
{{- define "zhengyun-site.labels" -}}
app.kubernetes.io/part-of: zhengyun
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* The driver as the API server knows it. */}}
{{- define "zhengyun-site.driver" -}}system:serviceaccount:zhengyun-system:zhengyun-driver{{- end -}}

{{/* The head of a policy. Every field of its spec is written out, defaults included, so that it can be compared as it stands. */}}
{{- define "zhengyun-site.policy" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ .name }}
  labels:
    {{- include "zhengyun-site.labels" .root | nindent 4 }}
{{- end -}}

{{/* Its binding: in force everywhere, for everybody. */}}
{{- define "zhengyun-site.binding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels:
    {{- include "zhengyun-site.labels" .root | nindent 4 }}
spec:
  policyName: {{ .name }}
  validationActions: [Deny]
{{- end -}}

{{/* Rules for tenants: the frame of the grant and what was delivered, to look at. */}}
{{- define "zhengyun-site.tenantReads" -}}
- apiGroups: [""]
  resources: [resourcequotas, limitranges, endpoints, events]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch]
{{- range .Values.catalogueKinds }}
- apiGroups: [{{ .group | quote }}]
  resources: [{{ join ", " .resources }}]
  verbs: [get, list, watch]
{{- end }}
{{- end -}}
