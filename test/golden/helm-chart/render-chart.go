// Renders infra/helm/trommel as `helm template` does, for machines without Helm: the template engine is the one that Helm
// is made of (Go's text/template with Sprig), with Helm's own include, toYaml and required written here. It made the
// *.yaml files beside it.
//
//	apt-get install golang-go golang-github-masterminds-sprig-dev golang-gopkg-yaml.v3-dev
//	cd test/golden/helm-chart && GO111MODULE=off GOPATH=/usr/share/gocode go run render-chart.go
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"gopkg.in/yaml.v3"
)

const chartFolder = "../../../infra/helm/trommel"

// The cases: what is rendered, with which values over the chart's own.
var cases = []string{"default", "gpu", "fixed-size"}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func toYaml(value interface{}) (string, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err := encoder.Encode(value)
	return strings.TrimSuffix(out.String(), "\n"), err
}

func readYaml(file string) map[string]interface{} {
	content, err := os.ReadFile(file)
	check(err)
	values := map[string]interface{}{}
	check(yaml.Unmarshal(content, &values))
	return values
}

// Lays one map of values over another, map by map, as Helm does.
func lay(over, under map[string]interface{}) map[string]interface{} {
	for key, value := range over {
		upper, isMap := value.(map[string]interface{})
		lower, wasMap := under[key].(map[string]interface{})
		if isMap && wasMap {
			under[key] = lay(upper, lower)
		} else {
			under[key] = value
		}
	}
	return under
}

func parseChart() *template.Template {
	chart := template.New("trommel").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	functions["toYaml"] = toYaml
	functions["include"] = func(name string, data interface{}) (string, error) {
		var out strings.Builder
		err := chart.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	functions["required"] = func(message string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, errors.New(message)
		}
		return value, nil
	}
	chart.Funcs(functions)
	for _, file := range templateFiles() {
		content, err := os.ReadFile(file)
		check(err)
		template.Must(chart.New(filepath.Base(file)).Parse(string(content)))
	}
	return chart
}

func templateFiles() []string {
	files, err := filepath.Glob(filepath.Join(chartFolder, "templates", "*"))
	check(err)
	sort.Strings(files)
	return files
}

func render(chart *template.Template, values map[string]interface{}) string {
	about := readYaml(filepath.Join(chartFolder, "Chart.yaml"))
	data := map[string]interface{}{
		"Values": values,
		"Chart":  map[string]interface{}{"Name": about["name"], "Version": about["version"], "AppVersion": about["appVersion"]},
		"Release": map[string]interface{}{"Name": "demo", "Namespace": "sorting", "Service": "Helm"},
	}
	var out strings.Builder
	for _, file := range templateFiles() {
		name := filepath.Base(file)
		if strings.HasPrefix(name, "_") || name == "NOTES.txt" {
			continue
		}
		var document strings.Builder
		check(chart.ExecuteTemplate(&document, name, data))
		if strings.TrimSpace(document.String()) != "" {
			fmt.Fprintf(&out, "---\n# Source: %s\n%s\n", name, strings.TrimSpace(document.String()))
		}
	}
	var notes strings.Builder
	check(chart.ExecuteTemplate(&notes, "NOTES.txt", data))
	return out.String()
}

// A hash of everything that was rendered, by which a test knows that the goldens are of this chart.
func writeSources() {
	files := append(templateFiles(), filepath.Join(chartFolder, "Chart.yaml"), filepath.Join(chartFolder, "values.yaml"))
	for _, name := range cases {
		files = append(files, name+".values.yaml")
	}
	hash := sha256.New()
	for _, file := range files {
		content, err := os.ReadFile(file)
		check(err)
		hash.Write(content)
	}
	check(os.WriteFile("sources.sha256", []byte(fmt.Sprintf("%x\n", hash.Sum(nil))), 0o644))
}

func main() {
	chart := parseChart()
	for _, name := range cases {
		values := lay(readYaml(name+".values.yaml"), readYaml(filepath.Join(chartFolder, "values.yaml")))
		check(os.WriteFile(name+".yaml", []byte(render(chart, values)), 0o644))
	}
	writeSources()
}
