package installer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/kardianos/service"

	"tram/installer/place"
)

// State is how a registered program stands with the service manager.
type State string

// The states.
const (
	Absent  State = ""
	Stopped State = "stopped"
	Running State = "running"
)

// Definition is what a service manager is told about the agent.
type Definition struct {
	Program   string
	Arguments []string
	Unit      string // text of the systemd unit; empty elsewhere
}

// Services keeps one program running: a service manager, or the files of one
// in an image. Every method may be called again after it succeeded and after it
// failed, from one goroutine at a time; the last call's error is what counts.
// Register replaces an earlier registration and makes the program start with
// the PC. Unregister, Start and Stop of what is so already succeed.
type Services interface {
	State() (State, error)
	Register(Definition) error
	Unregister() error
	Start() error
	Stop() error
}

// ServicesName names this PC's service manager, or is empty when none is
// known.
func ServicesName() string {
	system := service.ChosenSystem()
	if system == nil {
		return ""
	}
	name := strings.TrimPrefix(system.String(), "linux-")
	if name == "systemd" {
		// The tools alone do not make a service manager: it must have booted.
		if _, err := os.Stat("/run/systemd/system"); err != nil {
			return ""
		}
	}
	return name
}

// SystemServices is the running PC's service manager.
func SystemServices() Services { return systemServices{} }

type systemServices struct{}

// nobody is the program that the library wants for every service; here nothing
// is run by it.
type nobody struct{}

func (nobody) Start(service.Service) error { return nil }
func (nobody) Stop(service.Service) error  { return nil }

// service is the library's handle. An empty definition is enough for all but
// registering.
func (systemServices) service(def Definition) (service.Service, error) {
	options := service.KeyValue{}
	if def.Unit != "" {
		// Folders in the unit hold no braces: the library's template leaves it as is.
		options["SystemdScript"] = def.Unit
	}
	s, err := service.New(nobody{}, &service.Config{
		Name:        ServiceName,
		DisplayName: "Tram",
		Description: "Tram",
		Executable:  def.Program,
		Arguments:   def.Arguments,
		UserName:    serviceAccount(),
		Option:      options,
	})
	if err != nil {
		return nil, fmt.Errorf("service manager: %w", err)
	}
	return s, nil
}

// State asks the service manager. A service that failed is a stopped one.
func (m systemServices) State() (State, error) {
	s, err := m.service(Definition{})
	if err != nil {
		return Absent, err
	}
	status, err := s.Status()
	switch {
	case errors.Is(err, service.ErrNotInstalled):
		return Absent, nil
	case status == service.StatusRunning:
		return Running, nil
	case status == service.StatusStopped, err != nil && strings.Contains(err.Error(), "failed state"):
		return Stopped, nil
	}
	return Absent, err
}

// Register takes an earlier registration away first: the library refuses to
// replace one.
func (m systemServices) Register(def Definition) error {
	state, err := m.State()
	if err != nil {
		return err
	}
	if state != Absent {
		if err := m.Unregister(); err != nil {
			return err
		}
	}
	s, err := m.service(def)
	if err != nil {
		return err
	}
	if err := s.Install(); err != nil {
		return fmt.Errorf("register service: %w", err)
	}
	return hardenService()
}

// Unregister also clears away half a registration.
func (m systemServices) Unregister() error {
	state, err := m.State()
	if err != nil || state == Absent {
		return err
	}
	s, err := m.service(Definition{})
	if err != nil {
		return err
	}
	// A registration that was cut off half-way is one the library cannot undo.
	if err := s.Uninstall(); err != nil && forgetService() != nil {
		return fmt.Errorf("unregister service: %w", err)
	}
	return nil
}

// Start returns once the service manager calls the agent started; under systemd
// that is when the agent said that it is ready.
func (m systemServices) Start() error {
	if state, err := m.State(); err == nil && state == Running {
		return nil
	}
	s, err := m.service(Definition{})
	if err != nil {
		return err
	}
	if err := s.Start(); err != nil {
		return fmt.Errorf("start service: %w", err)
	}
	return nil
}

// Stop returns once the agent has ended. The library's own wait can hang on
// Windows, so each system has its own.
func (m systemServices) Stop() error {
	if state, err := m.State(); err == nil && state != Running {
		return nil
	}
	if err := stopService(); err != nil {
		return fmt.Errorf("stop service: %w", err)
	}
	return nil
}

// ImageServices registers with the systemd of an image whose files lie under
// root. Nothing runs in an image: it is always stopped, and Start and Stop do
// nothing.
func ImageServices(root string) Services { return imageServices{root} }

type imageServices struct{ root string }

func (m imageServices) unit() string {
	return filepath.Join(m.root, "etc", "systemd", "system", ServiceName+".service")
}

func (m imageServices) wanted() string {
	return filepath.Join(m.root, "etc", "systemd", "system", "multi-user.target.wants", ServiceName+".service")
}

func (m imageServices) State() (State, error) {
	if _, err := os.Lstat(m.wanted()); err != nil {
		return Absent, nil
	}
	return Stopped, nil
}

// Register does by files what systemctl enable does on a running PC.
func (m imageServices) Register(def Definition) error {
	if err := place.Write(m.unit(), []byte(def.Unit), 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(m.wanted()), 0o755); err != nil {
		return fmt.Errorf("register in image: %w", err)
	}
	if err := os.Remove(m.wanted()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("register in image: %w", err)
	}
	return os.Symlink("../"+ServiceName+".service", m.wanted())
}

func (m imageServices) Unregister() error { return place.Remove(m.wanted(), m.unit()) }
func (imageServices) Start() error        { return nil }
func (imageServices) Stop() error         { return nil }

// tool runs one of the system's own tools; its last words are the error.
func tool(name string, arguments ...string) error {
	out, err := exec.Command(name, arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, lastLine(string(out)))
	}
	return nil
}

// lastLine is where tools say what went wrong.
func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
