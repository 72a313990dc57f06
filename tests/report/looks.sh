# What the page looks like: nothing is cut off at any width, dark where dark is asked for.
#
#   SHOTS=/some/folder   leave the pictures there
. "$(dirname "$0")/../lib.sh"
. "$TESTS/report/report.bash"
need_ours
scratch 300
cd "$T"
need_browser
{
    fleet images=300 large=2 every=29 stop=60
    fleet images=300 large=0 every=29 from=150 begin=$((BEGAN + 5000))
} >two.results
good "$IMG" report two.results

# Size and first pixel of a picture: WIDTHxHEIGHT RRGGBB
pixel='
    use Compress::Zlib;
    open(my $f, "<", $ARGV[0]) or die; local $/; my $png = <$f>;
    my ($w, $h) = unpack("NN", substr($png, 16, 8));
    my ($at, $data) = (8, "");
    while ($at < length($png)) {
        my ($n, $kind) = unpack("Na4", substr($png, $at, 8));
        $data .= substr($png, $at + 8, $n) if $kind eq "IDAT";
        $at += $n + 12;
    }
    printf("%dx%d %s", $w, $h, unpack("H6", substr(uncompress($data), 1, 3)))'

shot() { # NAME WIDTH WANTED OPTION...
    local name=$1 width=$2 wanted=$3
    shift 3
    browser "file://$T/two.results.html" --window-size="$width,1400" --screenshot="$T/$name.png" "$@" ||
        bad "$name: no picture"
    quiet_page "$name"
    same "$name" "$(perl -e "$pixel" "$T/$name.png")" "${width}x1400 $wanted"
    [ -z "${SHOTS:-}" ] || cp "$T/$name.png" "$SHOTS"
}
light=f4f6f8 dark=0e131a
shot wide 1280 $light --blink-settings=preferredColorScheme=1
shot narrow 500 $light --blink-settings=preferredColorScheme=1
shot wide-dark 1280 $dark --blink-settings=preferredColorScheme=0
shot narrow-dark 500 $dark --blink-settings=preferredColorScheme=0

# Nothing hangs out of the page, and no two texts of a list of marks lie upon each other.
hangs='document.documentElement.scrollWidth - document.documentElement.clientWidth'
overlaps='let n = 0;
    for (const svg of document.querySelectorAll("svg.marks, svg.values")) {
        const boxes = [...svg.querySelectorAll("text")].map(t => t.getBoundingClientRect())
            .filter(b => b.width);
        for (const a of boxes)
            for (const b of boxes)
                n += a !== b && a.left < b.right && b.left < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom;
    }
    return HANGS + " " + n'
for width in 500 700 900 1280 2000; do
    same "hangs out, texts that overlap at $width" \
        "$(answer two.results.html "${overlaps/HANGS/$hangs}" --window-size=$width,1000)" "0 0"
done

# Every text has enough contrast with what is behind it, in both modes (WCAG AA: 4.5).
contrast='const light = c => {
        const [r, g, b] = c.match(/[\d.]+/g).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = e => {
        for (; e; e = e.parentElement)
            if (getComputedStyle(e).backgroundColor !== "rgba(0, 0, 0, 0)")
                return getComputedStyle(e).backgroundColor;
        return "rgb(255, 255, 255)";
    };
    let worst = 99, where = "";
    for (const e of document.querySelectorAll("body *:not(script):not(style)")) {
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || e.closest("title"))
            continue;
        const style = getComputedStyle(e), svg = e instanceof SVGElement;
        const a = light(svg ? style.fill : style.color), b = light(behind(e));
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < worst)
            [worst, where] = [ratio, e.tagName + "." + e.getAttribute("class")];
    }
    return worst < 4.5 ? worst.toFixed(2) + " at " + where : "enough"'
for scheme in 0 1; do
    same "contrast in scheme $scheme" \
        "$(answer two.results.html "$contrast" --blink-settings=preferredColorScheme=$scheme)" enough
done
finish
