//go:build linux

package torture

type killCmd struct{}
type failCmd struct{}
type fullCmd struct{}
