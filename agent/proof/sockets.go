package proof

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// established are the inodes of the established TCP connections that a process holds, in order, whatever made them: the
// emulator's ports, its sockets, native code. What the agent holds the other end of is left out: its own connection to the
// node. Of a container these are those of its network, which node and agent share (proc(5), /proc/net/tcp).
func established(pid int) ([]uint64, error) {
	theirs, err := socketsOf(strconv.Itoa(pid))
	if err != nil {
		return nil, err
	}
	ours, err := socketsOf("self")
	if err != nil {
		return nil, err
	}
	held, ends := map[string]uint64{}, map[string]bool{}
	for _, table := range []string{"tcp", "tcp6"} {
		err := connections(fmt.Sprintf("/proc/%d/net/%s", pid, table), func(local, remote string, inode uint64) {
			switch {
			case theirs[inode]:
				held[remote+" "+local] = inode
			case ours[inode]:
				ends[local+" "+remote] = true
			}
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) { // without IPv6 there is no tcp6
			return nil, err
		}
	}
	var inodes []uint64
	for end, inode := range held {
		if !ends[end] {
			inodes = append(inodes, inode)
		}
	}
	slices.Sort(inodes)
	return inodes, nil
}

// socketsOf are the inodes of a process's sockets.
func socketsOf(pid string) (map[uint64]bool, error) {
	dir, err := os.Open("/proc/" + pid + "/fd")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	sockets := map[uint64]bool{}
	for {
		names, err := dir.Readdirnames(1024)
		for _, name := range names {
			target, _ := os.Readlink(dir.Name() + "/" + name) // it may be closed by now
			inode, is := strings.CutPrefix(target, "socket:[")
			if n, err := strconv.ParseUint(strings.TrimSuffix(inode, "]"), 10, 64); is && err == nil {
				sockets[n] = true
			}
		}
		if errors.Is(err, io.EOF) {
			return sockets, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// connections reads "sl local_address rem_address st … inode" of those in the state 01, TCP_ESTABLISHED. An IPv4 address in
// an IPv6 one is written as the other end may have it.
func connections(path string, each func(local, remote string, inode uint64)) error {
	table, err := os.Open(path)
	if err != nil {
		return err
	}
	defer table.Close()
	for lines := bufio.NewScanner(table); ; {
		if !lines.Scan() {
			return lines.Err()
		}
		field := bytes.Fields(lines.Bytes())
		if len(field) < 10 || string(field[3]) != "01" {
			continue
		}
		if inode, err := strconv.ParseUint(string(field[9]), 10, 64); err == nil {
			each(plain(field[1]), plain(field[2]), inode)
		}
	}
}

func plain(address []byte) string {
	return strings.TrimPrefix(string(address), "0000000000000000FFFF0000")
}

// difference counts what is in only one of two sorted lists.
func difference(before, after []uint64) (closed, opened int64) {
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && before[0] < after[0]:
			closed, before = closed+1, before[1:]
		case len(before) == 0 || after[0] < before[0]:
			opened, after = opened+1, after[1:]
		default:
			before, after = before[1:], after[1:]
		}
	}
	return closed, opened
}
