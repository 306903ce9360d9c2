package validate

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// object is one built resource.
type object struct {
	kind, name, namespace string
	text                  []byte
	value                 any // nil for a custom resource, whose type is its operator's
}

// kinds are the built-in types that the deployment uses.
func kinds(apiVersion, kind string) any {
	switch apiVersion + "/" + kind {
	case "v1/Namespace":
		return new(core.Namespace)
	case "v1/ServiceAccount":
		return new(core.ServiceAccount)
	case "v1/Service":
		return new(core.Service)
	case "v1/ConfigMap":
		return new(core.ConfigMap)
	case "apps/v1/Deployment":
		return new(apps.Deployment)
	case "batch/v1/Job":
		return new(batch.Job)
	case "batch/v1/CronJob":
		return new(batch.CronJob)
	case "policy/v1/PodDisruptionBudget":
		return new(policy.PodDisruptionBudget)
	case "autoscaling/v2/HorizontalPodAutoscaler":
		return new(autoscaling.HorizontalPodAutoscaler)
	case "networking.k8s.io/v1/NetworkPolicy":
		return new(networking.NetworkPolicy)
	case "networking.k8s.io/v1/Ingress":
		return new(networking.Ingress)
	}
	return nil
}

// custom resources, which only their operators' definitions describe.
var custom = map[string]bool{"redis.redis.opstreelabs.in/v1beta2/RedisCluster": true}

// decode reads one document strictly: unknown and repeated fields are faults.
func decode(text []byte) (object, error) {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"metadata"`
	}
	if err := yaml.Unmarshal(text, &head); err != nil {
		return object{}, err
	}
	o := object{head.Kind, head.Metadata.Name, head.Metadata.Namespace, text, kinds(head.APIVersion, head.Kind)}
	switch {
	case o.value != nil:
		return o, yaml.UnmarshalStrict(text, o.value)
	case custom[head.APIVersion+"/"+head.Kind]:
		return o, nil
	}
	return o, fmt.Errorf("%s %s: no type is known for it here", head.APIVersion, head.Kind)
}

var built sync.Map

// build is `kubectl kustomize`, each resource decoded.
func build(t testing.TB, folder string) []object {
	t.Helper()
	if done, ok := built.Load(folder); ok {
		return done.([]object)
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(deploy, "kustomize", folder))
	if err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	var all []object
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		o, err := decode(text)
		if err != nil {
			t.Errorf("%s: %s %s: %v", folder, r.GetKind(), r.GetName(), err)
			continue
		}
		all = append(all, o)
	}
	built.Store(folder, all)
	return all
}

// find gives the built resources of one type.
func find[T any](objects []object) (found []*T) {
	for _, o := range objects {
		if v, ok := o.value.(*T); ok {
			found = append(found, v)
		}
	}
	return found
}

// one gives the only resource of a type.
func one[T any](t testing.TB, objects []object) *T {
	t.Helper()
	all := find[T](objects)
	if len(all) != 1 {
		t.Fatalf("%d resources of type %T, want 1", len(all), *new(T))
	}
	return all[0]
}

var overlays = []string{"overlays/staging", "overlays/production"}

// Each folder with a kustomization builds, and Kubernetes' own types know each field of what comes out.
func TestManifestsDecodeStrictly(t *testing.T) {
	total := 0
	for _, path := range files(t, "kustomize", "kustomization.yaml") {
		folder, err := filepath.Rel(filepath.Join(deploy, "kustomize"), filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range build(t, folder) {
			total++
			if o.kind == "Secret" {
				t.Errorf("%s: %s is a secret: refer to it, never write it down", folder, o.name)
			}
		}
	}
	if total < 40 {
		t.Errorf("only %d resources were built", total)
	}
}

// Strictness is real: what is misspelt is refused.
func TestMisspeltManifestsAreRefused(t *testing.T) {
	for _, text := range []string{
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {replica: 3}",
		"apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: x}\nspec: {maxUnavailable: 1, maxUnavailable: 2}",
		"apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: x}",
		"apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: many}]}",
	} {
		if _, err := decode([]byte(text)); err == nil {
			t.Errorf("decoded:\n%s", text)
		}
	}
}

// Everything that manifests refer to, and that is made elsewhere, is told to the operator.
func TestReferencesAreDocumented(t *testing.T) {
	guide := read(t, "kustomize", "README.md")
	for _, folder := range append([]string{"overlays/production/migrate"}, overlays...) {
		objects := build(t, folder)
		made := map[string]bool{}
		for _, m := range find[core.ConfigMap](objects) {
			made[m.Name] = true
		}
		refer := func(name string) {
			if name != "" && !made[name] && !strings.Contains(guide, "`"+name+"`") {
				t.Errorf("%s refers to %s, which is neither made here nor named in kustomize/README.md", folder, name)
			}
		}
		for _, pod := range pods(objects) {
			for _, v := range pod.Volumes {
				if v.Secret != nil {
					refer(v.Secret.SecretName)
				}
				if v.ConfigMap != nil {
					refer(v.ConfigMap.Name)
				}
			}
			for _, e := range pod.Containers[0].Env {
				if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
					refer(e.ValueFrom.SecretKeyRef.Name)
				}
				if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil {
					refer(e.ValueFrom.ConfigMapKeyRef.Name)
				}
			}
		}
		for _, i := range find[networking.Ingress](objects) {
			refer(i.Spec.TLS[0].SecretName)
		}
	}
}

// pods are the pods of all that runs the program.
func pods(objects []object) (all []*core.PodSpec) {
	for _, d := range find[apps.Deployment](objects) {
		all = append(all, &d.Spec.Template.Spec)
	}
	for _, j := range find[batch.Job](objects) {
		all = append(all, &j.Spec.Template.Spec)
	}
	for _, c := range find[batch.CronJob](objects) {
		all = append(all, &c.Spec.JobTemplate.Spec.Template.Spec)
	}
	return all
}
