{{/* The head of a policy. Every field of a policy's spec is written out, defaults included, so that the operator can compare
     what stands in the hub with what was shipped. */}}
{{- define "zhengyun.policy" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ .name }}
  labels:
    {{- include "zhengyun.labels" .root | nindent 4 }}
{{- end -}}

{{/* Its binding: in force everywhere, for everybody. */}}
{{- define "zhengyun.binding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels:
    {{- include "zhengyun.labels" .root | nindent 4 }}
spec:
  policyName: {{ .name }}
  validationActions: [Deny]
{{- end -}}
