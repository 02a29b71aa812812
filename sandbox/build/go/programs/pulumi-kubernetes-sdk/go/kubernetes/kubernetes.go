// Package kubernetes has the arguments of a resource whose kind is known at run time only.
package kubernetes

import "reflect"

type UntypedArgs map[string]any

func (UntypedArgs) ElementType() reflect.Type {
	return reflect.TypeFor[map[string]any]()
}
