# The page in a browser: its numbers, its table, its silence.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/report/report.bash"
need_ours
scratch 300
cd "$T"
need_browser

# -- the watch itself sees a page that asks and complains
printf '<title>x</title><img src="http://127.0.0.1:9/x.png"><script>console.error("oh")</script>' >loud.html
browser "file://$T/loud.html" --dump-dom
checked
grep -q CONSOLE "$T/console" || bad "complaints are not seen"
grep -q '"initiator":[^}]*file://' "$T/net" || bad "requests are not seen"

# -- the numbers
known >known.results
good "$IMG" report known.results
look "$T/known.results.html"
number() { # ID: its text
    sed -n "s/.*id=\"$1\"[^>]*>\([^<]*\)<.*/\1/p" "$T/dom" | head -n 1
}
same "done" "$(number t-images)" 4
same "data" "$(number t-bytes)" "1 GiB"
same "time" "$(number t-time)" "1 min 4 s"
same "rate" "$(number t-rate)" "16 MiB/s"
same "busy" "$(number t-busy)" "75 %"
same "median" "$(number t-median)" "7.00 s"
same "95 %" "$(number t-p95)" "20.0 s"
same "stored" "$(number t-stored)" "768 MiB"
same "found" "$(number found)" "5 images"
same "counts" "$(sed -n 's/.*id="counts"[^>]*>\(.*\)<\/p>.*/\1/p' "$T/dom" | sed 's/<[^>]*>//g; s/ *$//')" \
    "4 done 1 failed 1 not begun"
same "runs" "$(grep -c 'class="card run"' "$T/dom")" 2
same "bars of failed images" "$(grep -o '<rect class="failed"[^>]*><title>e' "$T/dom" | wc -l)" 1

# -- the table: sorted and searched by its address
names() { # FRAGMENT: the last parts of the names in the table, in its order
    look "$T/known.results.html$1"
    sed -n '/<tbody>/,$p' "$T/dom" | grep -o 'class="name">[^<]*' | sed 's/.*\///' | tr '\n' ' '
}
same "as it opens" "$(names '')" "d c b a e "
same "by name" "$(names '#sort=target&dir=asc')" "a b c d e "
same "by name, the last first" "$(names '#sort=target&dir=desc')" "e d c b a "
same "by rate" "$(names '#sort=rate')" "a b c d e "
same "by time, the shortest first" "$(names '#sort=seconds&dir=asc')" "e a b c d "
same "by a column that is not there" "$(names '#sort=%3Cb%3E')" "d c b a e "
same "a name" "$(names '#q=out/C')" "c "
same "an error" "$(names '#q=permission')" "e "
same "two words" "$(names '#q=run+2')" "d c e "
same "two words that stand apart" "$(names '#q=raw+out/c')" "c "
same "a status" "$(names '#status=failed')" "e "
same "nothing" "$(names '#q=zzz')" ""
same "nothing is found" "$(number found)" "0 of 5 images"
same "the column that sorts" "$(look "$T/known.results.html#sort=size&dir=asc"
    grep -o 'aria-sort="[a-z]*"><button type="button" data-sort="[a-z]*"' "$T/dom")" \
    'aria-sort="ascending"><button type="button" data-sort="size"'

# -- by hand
list='[...document.querySelectorAll("#table .name")].map(n => n.textContent.slice(-1)).join("")'
click='document.querySelector("[data-sort=target]").click();'
same "a click" "$(answer known.results.html "$click return $list")" abcde
same "two clicks" "$(answer known.results.html "$click $click return $list + location.hash")" \
    "edcba#sort=target&dir=desc"
same "a choice" "$(answer known.results.html "const s = document.getElementById('status');
    s.value = 'failed'; s.dispatchEvent(new Event('change')); return $list + location.hash")" \
    "e#status=failed"

# -- many images: piece by piece, and at once
fleet images=10000 large=3 every=997 ranks=4 workers=8 >big.results
good "$IMG" report big.results
look "$T/big.results.html#q=disk00777"
same "one of 10,000" "$(number found)" "1 of 10,000 images"
rows='document.querySelectorAll("#table tbody tr").length'
same "rows, more, all" "$(answer big.results.html "const click = id => document.getElementById(id).click(), n = () => $rows;
    const first = n(); click('more'); const second = n(); click('all'); return [first, second, n()]")" \
    100,200,10000
took=$(answer big.results.html 'const t = performance.now(); document.querySelector("[data-sort=target]").click(); return performance.now() - t')
checked
[ "${took%.*}" -lt 2000 ] || bad "sorting 10,000 rows takes $took ms"

# -- without scripts: charts and the first rows are there
sed '/<script/,/<\/script>/d' big.results.html >plain.html
look "$T/plain.html"
same "plain rows" "$(grep -c '^<tr><th scope="row"><bdi class="name">' "$T/dom")" 100
same "plain charts" "$(grep -o '<figure class="chart' "$T/dom" | wc -l)" 5
same "plain numbers" "$(number t-images)" 9,990
finish
