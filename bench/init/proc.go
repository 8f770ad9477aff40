package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What proc(5) tells of an init, over all its threads.

// memory is VmRSS and RssAnon of a process in MiB.
func memory(pid int) (rss, anon float64, err error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	if _, err := os.Stat(path); err != nil {
		return 0, 0, err
	}
	return float64(sum(path, "VmRSS")) / 1024, float64(sum(path, "RssAnon")) / 1024, nil
}

// switches is how often a thread of the process has left a CPU: once for each time that it woke up.
func switches(pid int) int {
	tasks := fmt.Sprintf("/proc/%d/task/*/status", pid)
	return sum(tasks, "voluntary_ctxt_switches") + sum(tasks, "nonvoluntary_ctxt_switches")
}

// sum adds up a field of status files.
func sum(pattern, field string) (total int) {
	files, _ := filepath.Glob(pattern)
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, field+":"); ok {
				n, _ := strconv.Atoi(strings.Fields(value)[0])
				total += n
			}
		}
	}
	return total
}

// cpu is the time that the process has had on a CPU.
func cpu(pid int) (total time.Duration) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		if field := strings.Fields(string(text)); len(field) > 0 {
			n, _ := strconv.ParseInt(field[0], 10, 64)
			total += time.Duration(n)
		}
	}
	return total
}

// orphanGroup is the process group of the orphans in an init's care.
func orphanGroup(pid int) (int, error) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		if list := strings.Fields(string(text)); len(list) >= crowdSize {
			orphan, err := strconv.Atoi(list[len(list)-1])
			if err != nil {
				return 0, err
			}
			return unix.Getpgid(orphan)
		}
	}
	return 0, fmt.Errorf("the orphans have not come to the init")
}
