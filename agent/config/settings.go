package config

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// setting is one key of the file: how it is read, shown for comparing, and
// whether a running program takes a new value.
type setting struct {
	key  string
	like string // an example
	live bool
	set  func(c *Config, value, folder string) *Error
	get  func(c *Config) string
}

// settings is the one list of everything that a file may say.
func settings() []setting {
	return []setting{
		{key: "station.name", like: "tram-a", set: name, get: func(c *Config) string { return c.Station.Name }},
		choice("station.language", true, func(c *Config) *string { return &c.Station.Language }, "vi", "en"),
		folder("data.folder", func(c *Config) *string { return &c.Data.Folder }),
		folder("data.journal", func(c *Config) *string { return &c.Data.Journal }),
		folder("keys.passphrase", func(c *Config) *string { return &c.Keys.Passphrase }),
		{key: "centre.url", like: "https://centre.example:8643", set: centre, get: func(c *Config) string { return c.Centre.URL }},
		choice("centre.key_exchange", false, func(c *Config) *string { return &c.Centre.KeyExchange }, "hybrid", "classic"),
		{key: "page.listen", like: "127.0.0.1:8642", set: listen, get: func(c *Config) string { return c.Page.Listen }},
		{key: "api.listen", like: likeAPI, set: api, get: func(c *Config) string { return c.API.Listen }},
		{key: "api.names", like: "tram-a.example", set: names, get: func(c *Config) string { return c.API.Names }},
		folder("api.certificate", func(c *Config) *string { return &c.API.Certificate }),
		folder("api.key", func(c *Config) *string { return &c.API.Key }),
		folder("drop.folder", func(c *Config) *string { return &c.Drop.Folder }),
		duration("drop.poll", "30s", time.Second, time.Hour, func(c *Config) *time.Duration { return &c.Drop.Poll }),
		duration("drop.done", "168h", 24*time.Hour, 10*365*24*time.Hour, func(c *Config) *time.Duration { return &c.Drop.Done }),
		choice("drop.references", false, func(c *Config) *string { return &c.Drop.References }, "strict", "lenient"),
		{key: "drop.identifiers", like: "BYT=urn:oid:1.2.3", set: identifiers, get: func(c *Config) string { return c.Drop.Identifiers }},
		{key: "mllp.listen", like: "127.0.0.1:2575", set: mllp, get: func(c *Config) string { return c.MLLP.Listen }},
		{key: "mllp.from", like: "192.168.1.20", set: senders, get: func(c *Config) string { return c.MLLP.From }},
		folder("stick.folder", func(c *Config) *string { return &c.Stick.Folder }),
		{key: "points.address", like: "192.168.1.10:8643", set: points, get: func(c *Config) string { return c.Points.Address }},
		duration("sync.every", "5m", 10*time.Second, 24*time.Hour, func(c *Config) *time.Duration { return &c.Sync.Every }),
		duration("sync.urgent", "2s", 0, time.Hour, func(c *Config) *time.Duration { return &c.Sync.Urgent }),
		choice("log.level", true, func(c *Config) *string { return &c.Log.Level }, "debug", "info", "warn", "error"),
	}
}

// Diff tells which settings differ: those that a running program takes over,
// and those that need it to be started again. Both are keys of the file, in its
// order.
func Diff(old, new Config) (live, restart []string) {
	for _, s := range settings() {
		switch {
		case s.get(&old) == s.get(&new):
		case s.live:
			live = append(live, s.key)
		default:
			restart = append(restart, s.key)
		}
	}
	return live, restart
}

// choice is a setting that takes one of a few words.
func choice(key string, live bool, field func(*Config) *string, allowed ...string) setting {
	return setting{key: key, like: allowed[0], live: live,
		set: func(c *Config, value, _ string) *Error {
			if !slices.Contains(allowed, value) {
				return &Error{Code: BadChoice, Hint: strings.Join(allowed, ", ")}
			}
			*field(c) = value
			return nil
		},
		get: func(c *Config) string { return *field(c) }}
}

// duration is a setting in Go's form, "1m30s", within bounds. All of them can be
// changed while the program runs.
func duration(key, like string, least, most time.Duration, field func(*Config) *time.Duration) setting {
	return setting{key: key, like: like, live: true,
		set: func(c *Config, value, _ string) *Error {
			d, err := time.ParseDuration(value)
			if err != nil {
				return &Error{Code: BadDuration, Hint: like}
			}
			if d < least || d > most {
				return &Error{Code: OutOfRange, Hint: short(least) + " – " + short(most)}
			}
			*field(c) = d
			return nil
		},
		get: func(c *Config) string { return field(c).String() }}
}

// short leaves out the zero units that time.Duration shows: "24h", not "24h0m0s".
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// folder is a setting that holds a path, made absolute: a service has no
// folder of its own to start from.
func folder(key string, field func(*Config) *string) setting {
	like := filepath.Join(DefaultFolder(), strings.TrimPrefix(key, "data."))
	return setting{key: key, like: like,
		set: func(c *Config, value, base string) *Error {
			if strings.ContainsAny(value, "\x00\n\r") {
				return &Error{Code: BadFolder, Hint: like}
			}
			if value == "" { // the default
				return nil
			}
			if !filepath.IsAbs(value) {
				value = filepath.Join(base, value)
			}
			abs, err := filepath.Abs(value)
			if err != nil {
				return &Error{Code: BadFolder, Hint: like, cause: err}
			}
			*field(c) = abs
			return nil
		},
		get: func(c *Config) string { return *field(c) }}
}

// name takes what can stand in a certificate, a file name and a log line alike.
func name(c *Config, value, _ string) *Error {
	ok := len(value) <= 40 && !strings.HasPrefix(value, "-") && !strings.HasSuffix(value, "-")
	for i := range len(value) {
		b := value[i]
		ok = ok && (b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '-')
	}
	if !ok {
		return &Error{Code: BadName, Hint: "tram-a"}
	}
	c.Station.Name = value
	return nil
}

// centre takes an https address without path, user or query; "" means none.
func centre(c *Config, value, _ string) *Error {
	if value == "" {
		c.Centre.URL = ""
		return nil
	}
	u, err := url.Parse(value)
	bad := err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" ||
		u.Fragment != "" || u.Path != "" && u.Path != "/"
	if !bad && u.Port() != "" {
		n, err := strconv.ParseUint(u.Port(), 10, 16)
		bad = err != nil || n == 0
	}
	if bad || strings.HasSuffix(u.Host, ":") {
		return &Error{Code: BadURL, Hint: "https://centre.example:8643"}
	}
	c.Centre.URL = "https://" + u.Host
	return nil
}

// points takes a name or an address, and a port that is not 0: points must find it again.
func points(c *Config, value, _ string) *Error {
	host, port, err := net.SplitHostPort(value)
	n := uint64(0)
	if err == nil {
		n, err = strconv.ParseUint(port, 10, 16)
	}
	if value != "" && (err != nil || n == 0 || host == "") {
		return &Error{Code: BadAddress, Hint: "192.168.1.10:8643"}
	}
	c.Points.Address = value
	return nil
}

// likeAPI is an address of a station's own network.
const likeAPI = "192.168.1.10:8643"

// api takes an IP address and a port that is not 0: programs must find it again.
func api(c *Config, value, _ string) *Error {
	if at, err := netip.ParseAddrPort(value); value != "" && (err != nil || at.Port() == 0 || at.Addr().Zone() != "") {
		return &Error{Code: BadAddress, Hint: likeAPI}
	}
	c.API.Listen = value
	return nil
}

// names takes host names (RFC 1123, 2.1) that blanks part.
func names(c *Config, value, _ string) *Error {
	list := strings.Fields(strings.ToLower(value))
	for _, name := range list {
		if len(list) > 20 || len(name) > 253 || !regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`).MatchString(name) {
			return &Error{Code: BadHost, Hint: "tram-a.example"}
		}
	}
	c.API.Names = strings.Join(list, " ")
	return nil
}

// whole finds settings that are wrong only together.
func whole(c *Config) *Error {
	if (c.API.Certificate == "") != (c.API.Key == "") {
		return &Error{Code: Incomplete, Key: "api.certificate", Hint: "api.key"}
	}
	if at, err := netip.ParseAddrPort(c.API.Listen); err == nil && at.Addr().IsUnspecified() && c.API.Names == "" {
		return &Error{Code: Incomplete, Key: "api.listen", Hint: "api.names"}
	}
	return nil
}

// listen takes what isListen does, of this PC alone: the pages are plain HTTP, which
// anybody on a network could read.
func listen(c *Config, value, _ string) *Error {
	if !isListen(value) {
		return &Error{Code: BadAddress, Hint: "127.0.0.1:8642"}
	}
	if at, err := netip.ParseAddrPort(value); err == nil && !at.Addr().Unmap().IsLoopback() {
		return &Error{Code: PlainOutside, Hint: "127.0.0.1:" + strconv.Itoa(int(at.Port()))}
	}
	c.Page.Listen = value
	return nil
}

// mllp is listen for messages; 2575 is HL7's port (IANA).
func mllp(c *Config, value, _ string) *Error {
	if value != "" && !isListen(value) {
		return &Error{Code: BadAddress, Hint: "127.0.0.1:2575"}
	}
	c.MLLP.Listen = value
	return nil
}

// senders takes IP addresses, split by commas.
func senders(c *Config, value, _ string) *Error {
	c.MLLP.From = value
	if n := len(c.MLLP.Senders()); value != "" && n != 1+strings.Count(value, ",") {
		return &Error{Code: BadSenders, Hint: "192.168.1.20, 192.168.1.21"}
	}
	return nil
}

// identifiers takes pairs of an authority and a URI, split by commas.
func identifiers(c *Config, value, _ string) *Error {
	for pair := range strings.SplitSeq(value, ",") {
		name, system, ok := strings.Cut(pair, "=")
		u, err := url.Parse(strings.TrimSpace(system))
		if value != "" && (!ok || strings.TrimSpace(name) == "" || err != nil || u.Scheme == "" || strings.ContainsAny(strings.TrimSpace(system), " \t\r\n")) {
			return &Error{Code: BadIdentifiers, Hint: "BYT=urn:oid:1.2.3"}
		}
	}
	c.Drop.Identifiers = value
	return nil
}

// isListen takes an IP address or "localhost" and a port; other names would
// depend on whoever answers for them.
func isListen(value string) bool {
	host, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err == nil && host != "localhost" {
		_, err = netip.ParseAddr(host)
	}
	return err == nil
}
