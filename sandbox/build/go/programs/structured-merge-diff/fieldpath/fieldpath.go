// Package fieldpath is version 6 under the name of version 4: what the Kubernetes provider uses of it. The provider
// imports version 4, the Kubernetes client it is built with here has moved to version 6, and the types have to be one.
package fieldpath

import "sigs.k8s.io/structured-merge-diff/v6/fieldpath"

type (
	Path = fieldpath.Path
	Set  = fieldpath.Set
)

var MakePath = fieldpath.MakePath
