package volume

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// What stays of the reports of upgrades, newest first: at most so many, and while they have no more bytes together. The newest
// one stays whatever it has.
const (
	mostReports = 50
	reportBytes = 4 << 20
)

const reportSuffix = ".json"

// reportID is what names a file here: the id of an upgrade, which sorts by its time.
var reportID = regexp.MustCompile(`^[0-9]{8}-[0-9]{6}-[0-9a-f]{4}$`)

// ErrNoReport says that nothing is kept under an id.
var ErrNoReport = errors.New("there is no such report")

func (v *Volume) reportPath(id string) string { return v.agentPath("reports", id+reportSuffix) }

// StoreReport keeps the report of an upgrade, in the place of one with its id, and takes the oldest ones away that are too
// many. A crash leaves the old one or the new one.
func (v *Volume) StoreReport(id string, content []byte) error {
	if !reportID.MatchString(id) {
		return fmt.Errorf("cannot keep the report: %q is no id of an upgrade", id)
	}
	v.historyMu.Lock()
	defer v.historyMu.Unlock()
	s := v.step("keep a report")
	err := s.replaceFile(v.reportPath(id), content, 0o600)
	if err == nil {
		err = v.retainReports()
	}
	if err != nil {
		return fmt.Errorf("cannot keep the report of %s: %w", id, err)
	}
	return nil
}

// Report is what was kept last under an id; else ErrNoReport.
func (v *Volume) Report(id string) ([]byte, error) {
	if !reportID.MatchString(id) {
		return nil, ErrNoReport
	}
	v.historyMu.Lock()
	defer v.historyMu.Unlock()
	content, err := readOwn(v.disk, v.reportPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoReport
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the report of %s: %w", id, err)
	}
	return content, nil
}

// retainReports removes what is too old, and what is no report.
func (v *Volume) retainReports() error {
	entries, err := v.disk.ReadDir(v.agentPath("reports"))
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(x, y fs.DirEntry) int { return cmp.Compare(y.Name(), x.Name()) })
	s := v.step("drop a report")
	var errs []error
	kept, bytes := 0, int64(0)
	for _, e := range entries {
		id, named := strings.CutSuffix(e.Name(), reportSuffix)
		info, err := v.disk.Lstat(v.agentPath("reports", e.Name()))
		if err != nil {
			return err
		}
		if whole := named && reportID.MatchString(id); whole && (kept == 0 || kept < mostReports && bytes+info.Size() <= reportBytes) {
			kept, bytes = kept+1, bytes+info.Size()
			continue
		}
		errs = append(errs, s.removeFile(filepath.Join(v.agentPath("reports"), e.Name())))
	}
	return errors.Join(errs...)
}
