{{/* The namespace is fixed: policies, roles and the operator name it. */}}
{{- define "zhengyun.namespace" -}}
{{- if ne .Release.Namespace "zhengyun-system" -}}
{{- fail (printf "the namespace is %s: install with --namespace zhengyun-system" .Release.Namespace) -}}
{{- end -}}
zhengyun-system
{{- end -}}

{{/* Labels of everything. The chart's own objects carry no zhengyun.io/ label: those mark what belongs to departments. */}}
{{- define "zhengyun.labels" -}}
app.kubernetes.io/part-of: zhengyun
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* The operator as the API server knows it. */}}
{{- define "zhengyun.operator" -}}system:serviceaccount:zhengyun-system:zhengyun-operator{{- end -}}

{{/* Namespaced kinds of a department. */}}
{{- define "zhengyun.departmentKinds" -}}[informationsystems, resourcerequests, approvals, resourcegrants]{{- end -}}

{{/* Kinds of disaster recovery. */}}
{{- define "zhengyun.recoveryKinds" -}}[backupstores, recoveryplans, systembackups, systemrestores, recoverydrills]{{- end -}}

{{/* Kinds of migration. */}}
{{- define "zhengyun.migrationKinds" -}}[machinerooms, migrationwaves, systemmigrations]{{- end -}}

{{/* Kinds that belong to no department. */}}
{{- define "zhengyun.platformKinds" -}}[departments, departmentquotas, sites, catalogitems, approvalpolicies]{{- end -}}

{{/* Every kind. */}}
{{- define "zhengyun.allKinds" -}}
[departments, departmentquotas, sites, catalogitems, approvalpolicies, ledgers, informationsystems, resourcerequests, approvals, resourcegrants, backupstores, recoveryplans, systembackups, systemrestores, recoverydrills, machinerooms, migrationwaves, systemmigrations]
{{- end -}}

{{/* Rules to read every kind, and what happened to it. */}}
{{- define "zhengyun.readAll" -}}
- apiGroups: [zhengyun.io]
  resources: {{ include "zhengyun.allKinds" . }}
  verbs: [get, list, watch]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [get, list, watch]
{{- end -}}

{{/* Rules to read what belongs to the department in whose namespace the role is bound.
     The kinds without a namespace are listed too: bound in a namespace they open nothing in kubectl, but the API asks
     "may this person read quotas in dept-<name>?" before it shows a department its own. */}}
{{- define "zhengyun.readDepartment" -}}
- apiGroups: [zhengyun.io]
  resources: {{ include "zhengyun.departmentKinds" . }}
  verbs: [get, list, watch]
- apiGroups: [zhengyun.io]
  resources: {{ include "zhengyun.platformKinds" . }}
  verbs: [get, list, watch]
- apiGroups: [zhengyun.io]
  resources: {{ include "zhengyun.recoveryKinds" . }}
  verbs: [get, list, watch]
- apiGroups: [zhengyun.io]
  resources: {{ include "zhengyun.migrationKinds" . }}
  verbs: [get, list, watch]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [get, list, watch]
{{- end -}}

{{/* Rules to decide a stage: the verb on the virtual subresource, and the record that carries the decision. */}}
{{- define "zhengyun.decide" -}}
- apiGroups: [zhengyun.io]
  resources: [resourcerequests/{{ . }}]
  verbs: [decide]
- apiGroups: [zhengyun.io]
  resources: [approvals]
  verbs: [create]
{{- end -}}

{{/* Rules to sign for a party: the verb on the virtual subresource, and the migration that carries the signature. Whoever has `patch` and
     not `update` adds a signature or a record and changes nothing else (policy zhengyun-migration). */}}
{{- define "zhengyun.sign" -}}
- apiGroups: [zhengyun.io]
  resources: [systemmigrations/{{ . }}]
  verbs: [sign]
- apiGroups: [zhengyun.io]
  resources: [systemmigrations]
  verbs: [patch]
{{- end -}}

{{- define "zhengyun.image" -}}
{{- $registry := empty .root.Values.image.registry | ternary "" (printf "%s/" .root.Values.image.registry) -}}
{{- printf "%s%s/%s:%s" $registry .root.Values.image.prefix .name (.root.Values.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
