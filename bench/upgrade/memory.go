package main

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"theseus/integration/docker"
)

// cgroupPaths are where docker keeps the memory of a container: cgroup v1 and v2, with docker's own or
// systemd's naming.
var cgroupPaths = []string{
	"/sys/fs/cgroup/memory/docker/ID",
	"/sys/fs/cgroup/docker/ID",
	"/sys/fs/cgroup/memory/system.slice/docker-ID.scope",
	"/sys/fs/cgroup/system.slice/docker-ID.scope",
}

// watchMemory raises peak to the most that the contender's containers hold together.
func watchMemory(ctx context.Context, r *rig, peak *int64) {
	every(ctx, 20*time.Millisecond, func() bool {
		*peak = max(*peak, anonymous(r.containers()))
		return true
	})
}

// anonymous is the memory that processes of these containers hold beside the file cache, in bytes. The
// cache is left out: the kernel takes it back when somebody needs it.
func anonymous(containers []*docker.Container) int64 {
	var sum int64
	for _, c := range containers {
		for _, path := range cgroupPaths {
			stat := filepath.Join(strings.Replace(path, "ID", c.ID, 1), "memory.stat")
			sum += anonymousOf(stat)
		}
	}
	return sum
}

// anonymousOf reads total_rss of cgroup v1 or anon of v2; a container that has ended holds nothing.
func anonymousOf(path string) int64 {
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if name == "total_rss" || name == "anon" {
			n, _ := strconv.ParseInt(value, 10, 64)
			return n
		}
	}
	return 0
}
