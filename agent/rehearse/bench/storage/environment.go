package storage

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Environment prints what the figures were measured on.
func Environment(out io.Writer, dir string) {
	cpu := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		cpu = field(string(b), "model name", cpu)
	}
	memory := "unknown memory"
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		memory = field(string(b), "MemTotal", memory)
	}
	fmt.Fprintf(out, "environment: %s/%s, %s, %d cores, %s, %s\n", runtime.GOOS, runtime.GOARCH, cpu, runtime.NumCPU(), memory, runtime.Version())
	fs := "an unknown file system"
	if b, err := os.ReadFile("/proc/self/mounts"); err == nil {
		if abs, err := filepath.Abs(dir); err == nil {
			fs = mountOf(string(b), abs)
		}
	}
	fmt.Fprintf(out, "files on: %s\n", fs)
	if strings.HasPrefix(fs, "tmpfs") {
		fmt.Fprintln(out, "NOTE: files in memory: what is durable here costs nothing, and says nothing about a disk")
	}
}

// field is the value of the first line "name : value".
func field(text, name, otherwise string) string {
	for line := range strings.Lines(text) {
		k, v, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return otherwise
}

// mountOf is the kind and the options of the file system that holds a path, from
// the text of proc_pid_mounts(5): of the mount points above it the longest, of
// equal ones the last.
func mountOf(mounts, path string) string {
	best, kind := -1, "an unknown file system"
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		at := strings.TrimSuffix(f[1], "/")
		if (path == at || strings.HasPrefix(path, at+"/")) && len(at) >= best {
			best, kind = len(at), f[2]+" ("+f[3]+")"
		}
	}
	return kind
}
