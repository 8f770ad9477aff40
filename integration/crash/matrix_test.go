package crash

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// stateWrite is the row of the changes that write state.json, whatever operation they are a part of.
const stateWrite = "state write"

var columns = []string{killAgent, killNode, killContainer, "EIO", "ENOSPC", "EROFS", powerCut, rpcFault}

// matrix counts what went well, by operation and fault.
type matrix map[[2]string]*score

type score struct{ well, all int }

func (m matrix) note(row, column string, well bool) {
	key := [2]string{row, column}
	if m[key] == nil {
		m[key] = &score{}
	}
	m[key].all++
	if well {
		m[key].well++
	}
}

func (m matrix) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")+"\t") }
	line(append([]string{""}, append(columns, "all")...)...)
	var total score
	for _, row := range append(names(operations), stateWrite) {
		cells := []string{row}
		var sum score
		for _, column := range columns {
			s := m[[2]string{row, column}]
			if s == nil {
				cells = append(cells, "-")
				continue
			}
			cells = append(cells, s.String())
			sum.well, sum.all = sum.well+s.well, sum.all+s.all
		}
		total.well, total.all = total.well+sum.well, total.all+sum.all
		line(append(cells, sum.String())...)
	}
	w.Flush()
	return b.String() + total.String() + " in all\n"
}

func (s score) String() string { return fmt.Sprintf("%d of %d", s.well, s.all) }

func names(operations []*operation) (names []string) {
	for _, o := range operations {
		names = append(names, o.name)
	}
	return names
}
