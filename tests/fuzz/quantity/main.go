// Writes what k8s.io/apimachinery makes of quantities: the texts it reads, and what it computes with them.
//
//	go run . -out ../../../operator/domain/tests/data -keep -texts 1500 -pairs 700 -seed 1   the committed vectors
//	go run . -out DIR -texts 500000 -pairs 500000 -seed 7                                    more of them, for one run
//
// With -keep the texts of the file that is there stay in front, so that committed vectors only grow.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"

	"gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/api/resource"
)

const module = "k8s.io/apimachinery"

// The most that Zhengyun holds, in thousandths: beyond it there is nothing to compare.
var most = inf.NewDec(0, 0).Mul(inf.NewDec(1<<63-1, 0), inf.NewDec(1000, 0))

func main() {
	log.SetFlags(0)
	out := flag.String("out", ".", "folder of the two files")
	keep := flag.Bool("keep", false, "keep the texts of the file that is there")
	texts := flag.Int("texts", 1000, "random texts")
	pairs := flag.Int("pairs", 1000, "random pairs of amounts")
	seed := flag.Uint64("seed", 1, "where the random texts start")
	flag.Parse()
	random := rand.New(rand.NewPCG(*seed, 0))

	textsFile := filepath.Join(*out, "quantity_vectors.tsv")
	var inputs []string
	if *keep {
		inputs = firstColumn(textsFile)
	}
	seen := map[string]bool{}
	for _, input := range inputs {
		seen[input] = true
	}
	for range *texts {
		if text := anyText(random); !seen[text] {
			seen[text] = true
			inputs = append(inputs, text)
		}
	}
	write(textsFile, "ParseQuantity, String() of the parsed amount without its cached text, AsDec() * 1000.",
		"input\tcanonical form, or the word error\texact value in milli units, or -", func(line func(...string)) {
			for _, input := range inputs {
				line(input, canonical(input), exact(input))
			}
		})
	write(filepath.Join(*out, "quantity_pairs.tsv"), "a.Cmp(b), a.Add(b), a.Sub(b), a.Mul(n): String() and AsDec() * 1000 of each result.",
		"a\tb\tn\torder\tsum\tin milli\tdifference\tin milli\tproduct\tin milli", func(line func(...string)) {
			for range *pairs {
				line(pair(amountText(random), amountText(random), random.Int64N(2000)-500)...)
			}
		})
}

// write makes a file of lines with tabs between their columns.
func write(path, what, columns string, lines func(line func(...string))) {
	file, err := os.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	buffer := bufio.NewWriter(file)
	fmt.Fprintf(buffer, "# Produced by %s %s, pkg/api/resource: %s\n# %s\n", module, version(), what, columns)
	lines(func(columns ...string) { fmt.Fprintln(buffer, strings.Join(columns, "\t")) })
	if err := buffer.Flush(); err != nil {
		log.Fatal(err)
	}
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
}

// version is the version of the module that this program was built with.
func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	log.Fatalf("built without %s", module)
	return ""
}

func firstColumn(path string) []string {
	content, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	var column []string
	for line := range strings.Lines(string(content)) {
		if !strings.HasPrefix(line, "#") {
			first, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			column = append(column, first)
		}
	}
	return column
}

func canonical(text string) string {
	quantity, err := resource.ParseQuantity(text)
	if err != nil {
		return "error"
	}
	return fresh(quantity)
}

// fresh writes an amount anew: String() repeats some texts as they were read.
func fresh(quantity resource.Quantity) string {
	quantity = quantity.DeepCopy()
	quantity.Neg()
	quantity.Neg()
	return quantity.String()
}

func exact(text string) string {
	quantity, err := resource.ParseQuantity(text)
	if err != nil {
		return "-"
	}
	return plain(milli(quantity))
}

func milli(quantity resource.Quantity) *inf.Dec {
	quantity = quantity.DeepCopy()
	return new(inf.Dec).Mul(quantity.AsDec(), inf.NewDec(1000, 0))
}

// plain writes a number without exponent and without zeros that mean nothing.
func plain(number *inf.Dec) string {
	if number.Scale() < 0 {
		number = new(inf.Dec).Round(number, 0, inf.RoundExact)
	}
	text := number.String()
	if strings.Contains(text, ".") {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// pair is a line about two amounts and a number.
func pair(a, b string, times int64) []string {
	sum, difference, product := parsed(a), parsed(a), parsed(a)
	columns := []string{a, b, fmt.Sprint(times), fmt.Sprint(sum.Cmp(parsed(b)))}
	sum.Add(parsed(b))
	difference.Sub(parsed(b))
	product.Mul(times)
	for _, result := range []resource.Quantity{sum, difference, product} {
		columns = append(columns, fresh(result), plain(milli(result)))
	}
	return columns
}

func parsed(text string) resource.Quantity {
	return resource.MustParse(text)
}

// amountText is a text of whole thousandths that are not too many: what Zhengyun reads, too.
func amountText(random *rand.Rand) string {
	for {
		text := number(random)
		quantity, err := resource.ParseQuantity(text)
		if err != nil || !withDigits.MatchString(text) {
			continue
		}
		thousandths := milli(quantity)
		size := new(inf.Dec).Abs(thousandths)
		// A binary amount of the most there is may be one that was cut to it.
		cut := strings.HasSuffix(text, "i") && size.Cmp(most) == 0
		if len(text) <= 64 && size.Cmp(most) <= 0 && !cut && !strings.Contains(plain(thousandths), ".") {
			return text
		}
	}
}

var (
	decimals = []string{"", "", "", "n", "u", "m", "m", "k", "M", "G", "T", "P", "E"}
	binaries = []string{"Ki", "Mi", "Gi", "Ti", "Pi", "Ei"}
	junk     = []string{"K", "ki", "i", "e", "E", "ee3", "Ee3", "e3k", "mi", "Kii", "B", " ", "١", "e1.5", "e+", "k1", "+1", "-"}
)

// anyText is a number in most cases, one that is nearly a number in the others.
func anyText(random *rand.Rand) string {
	for {
		text := number(random)
		for random.IntN(3) == 0 {
			text = broken(random, text)
		}
		if !farExponent.MatchString(text) {
			return text
		}
	}
}

// Kubernetes reads a text without any digit as zero.
var withDigits = regexp.MustCompile(`^[+-]?\.?[0-9]`)

// Kubernetes writes out every digit of such a number, and takes minutes over exponents of nine digits.
var farExponent = regexp.MustCompile(`[eE][+-]?[0-9]{4}`)

// number is a text of the shape that amounts have.
func number(random *rand.Rand) string {
	var text strings.Builder
	text.WriteString([]string{"", "", "", "", "-", "+"}[random.IntN(6)])
	if random.IntN(8) == 0 {
		// Around the most that a whole number of 64 bits holds.
		fmt.Fprint(&text, uint64(1<<63-1)+uint64(random.IntN(7))-3)
	} else {
		digits(random, &text, random.IntN(21))
	}
	if random.IntN(2) == 0 {
		text.WriteByte('.')
		digits(random, &text, random.IntN(13))
	}
	switch random.IntN(10) {
	case 0, 1, 2, 3:
		text.WriteString(decimals[random.IntN(len(decimals))])
	case 4, 5, 6:
		text.WriteString(binaries[random.IntN(len(binaries))])
	case 7, 8:
		// Far enough to meet every bound.
		fmt.Fprintf(&text, "%s%d", []string{"e", "E"}[random.IntN(2)], random.IntN(50)-25)
	default:
		text.WriteString(junk[random.IntN(len(junk))])
	}
	return text.String()
}

func digits(random *rand.Rand, text *strings.Builder, count int) {
	for range count {
		// Zeros and nines are where carries and trimming happen.
		text.WriteByte("0000123456789999"[random.IntN(16)])
	}
}

// broken is a text with one letter put in, left out or replaced.
func broken(random *rand.Rand, text string) string {
	letters := []rune(text)
	at := random.IntN(len(letters) + 1)
	letter := []rune("+-.0123456789eEinumkKMGTP _")[random.IntN(27)]
	after := at
	if at < len(letters) && random.IntN(2) == 0 {
		after++
	}
	rest := letters[after:]
	if random.IntN(3) == 0 {
		return string(letters[:at]) + string(rest)
	}
	return string(letters[:at]) + string(letter) + string(rest)
}
