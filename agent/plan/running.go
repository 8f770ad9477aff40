package plan

import (
	"slices"
	"strings"

	"theseus/agent/drift"
	"theseus/agent/relup"
)

// purges are the processes that die, or stay behind, when code is replaced: in the code before the last one, and in the one that
// becomes the last.
func purges(f Facts) (found []Finding) {
	if f.Live == nil || !f.inService() {
		return nil
	}
	ops := f.script()
	touched := named(ops, "load", "remove")
	for _, m := range touched {
		pre, post := methods(ops, m)
		if group, lingers := f.Live.Old[m]; lingers && pre == brutal {
			found = append(found, warning(PurgeKills, m, "processes run older code of %s than is loaded, and are killed when the relup replaces it: %s", m, group))
		}
		group, stays := f.Live.Inside[m]
		switch {
		case stays && post == brutal:
			found = append(found, warning(PurgeKills, m, "processes wait inside of %s; those that are there still when the release is made permanent are killed: %s", m, group))
		case stays:
			found = append(found, warning(OldCode, m, "processes wait inside of %s, and go on there in the older code until they leave it; the next upgrade may be refused for them: %s", m, group))
		}
	}
	for _, m := range keysOf(f.Live.Old) {
		if !slices.Contains(touched, m) {
			found = append(found, warning(OldCode, m, "processes run older code of %s than is loaded: %s", m, f.Live.Old[m]))
		}
	}
	return found
}

// methods are how a module's old code is purged, before and behind: brutally where anything says so.
func methods(ops []op, module string) (pre, post string) {
	for _, o := range ops {
		if !slices.Contains(o.modules, module) {
			continue
		}
		switch o.verb {
		case "load", "remove":
			pre, post = harder(pre, o.pre), harder(post, o.post)
		case "purge":
			pre, post = brutal, brutal
		}
	}
	return pre, post
}

func harder(a, b string) string {
	if a == brutal {
		return a
	}
	return b
}

// strangers are processes that ought to be suspended, and are not found.
func strangers(f Facts) (found []Finding) {
	if f.Live == nil || !f.inService() {
		return nil
	}
	for _, m := range keysOf(f.Live.Strangers) {
		found = append(found, Finding{
			Code: ProcessNotFound, Subject: m, Text: "release_handler does not find processes of " + m + ", and neither suspends them nor changes their state: " + f.Live.Strangers[m].String(),
			Hint: "they are in no supervision tree, or the modules of their child specification lack " + m,
		})
	}
	return found
}

// settings tells which take effect otherwise than people think.
func settings(f Facts) (found []Finding) {
	if !f.inService() {
		return nil
	}
	if cold := f.cold(); len(cold) > 0 {
		found = append(found, warning(ConfigCold, "", "%s: takes effect when the node is restarted", strings.Join(cold, ", ")))
	}
	keys := f.changedKeys()
	for _, app := range keysOf(keys) {
		read := f.readAtStart(app, keys[app])
		switch {
		case slices.Contains(bootApps, app):
			found = append(found, warning(ConfigCold, app, "%s of %s: is read when the node starts", strings.Join(keys[app], ", "), app))
		case len(read) > 0 && !f.After[app].Hears && !does(f.script(), app, "stop"):
			found = append(found, Finding{
				Code: ConfigNotTakenUp, Subject: app, Text: strings.Join(read, ", ") + " of " + app + " will have another value, and is read when a process starts: those that run keep the old one",
				Hint: "export config_change/3 from the module that starts " + app + ", and tell them",
			})
		}
	}
	return append(found, f.dropped()...)
}

// readAtStart are those of the keys that processes of the release are known to read once.
func (f Facts) readAtStart(app string, keys []string) (read []string) {
	for _, key := range keys {
		if slices.ContainsFunc(f.After[app].Modules, func(m relup.Module) bool { return slices.Contains(m.Reads, key) }) {
			read = append(read, key)
		}
	}
	return read
}

// bootApps read their environment when the node starts, most of it.
var bootApps = []string{"kernel", "stdlib", "sasl"}

func (f Facts) changedKeys() map[string][]string {
	keys := map[string][]string{}
	for _, s := range f.Config {
		keys[s.Application] = append(keys[s.Application], s.Key)
	}
	return keys
}

// dropped are the settings of the running node that an installation makes anew of the files (application_controller:change_application_data/2).
func (f Facts) dropped() (found []Finding) {
	if f.Live == nil {
		return nil
	}
	keys := map[string][]string{}
	for _, d := range f.Live.Drift {
		if d.Kind != drift.ModuleDiffers {
			keys[d.Application] = append(keys[d.Application], strings.TrimPrefix(d.Subject, d.Application+":"))
		}
	}
	for _, app := range keysOf(keys) {
		list := keys[app]
		found = append(found, Finding{
			Code: ConfigDropped, Subject: app, Text: strings.Join(list, ", ") + " of " + app + " was set in the running node; the upgrade sets it as the files of the new release have it",
			Hint: "put it into sys.config",
		})
	}
	return found
}
