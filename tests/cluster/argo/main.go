// argo-sync NAMESPACE RELEASE < MANIFESTS: syncs them once, hooks and waves as well, with Argo CD's own engine and in the
// steps of its controller. Says how each object went, and ends with 1 when the sync has failed.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/argoproj/gitops-engine/pkg/cache"
	"github.com/argoproj/gitops-engine/pkg/sync"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/argoproj/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/gitops-engine/pkg/utils/tracing"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return value
}

func main() {
	if len(os.Args) != 3 {
		must(0, errors.New("usage: argo-sync NAMESPACE RELEASE < MANIFESTS"))
	}
	namespace, release := os.Args[1], os.Args[2]
	wanted := must(kube.SplitYAML(must(io.ReadAll(os.Stdin))))
	config := must(clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG")))
	// What belongs to an application is known by this label.
	info := func(object *unstructured.Unstructured, _ bool) (any, bool) {
		return object.GetLabels()["app.kubernetes.io/instance"], true
	}
	own := func(object *cache.Resource) bool { return object.Info == release }
	known := cache.NewClusterCache(config, cache.SetNamespaces([]string{namespace}), cache.SetPopulateResourceInfoHandler(info))
	must(0, known.EnsureSynced())
	kubectl := &kube.KubectlCmd{Tracer: tracing.NopTracer{}}
	phase, message, results := common.OperationRunning, "", []common.ResourceSyncResult(nil)
	for began := metav1.Now(); !phase.Completed() && time.Since(began.Time) < 4*time.Minute; time.Sleep(time.Second) {
		state := sync.Reconcile(wanted, must(known.GetManagedLiveObjs(wanted, own)), namespace, known)
		step, end, err := sync.NewSyncContext("1", state, config, config, kubectl, namespace, known.GetOpenAPISchema(),
			sync.WithInitialState(phase, message, results, began), sync.WithPrune(true))
		must(0, err)
		step.Sync()
		phase, message, results = step.GetState()
		end()
	}
	for _, one := range results {
		fmt.Printf("%s %s/%s %s %s: %s\n", one.SyncPhase, one.ResourceKey.Kind, one.ResourceKey.Name, one.Status, one.HookPhase, one.Message)
	}
	fmt.Println(phase, message)
	if !phase.Successful() {
		os.Exit(1)
	}
}
