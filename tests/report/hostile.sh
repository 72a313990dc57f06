# Names and errors are text, whatever they hold: nothing of them becomes an element or a script.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/report/report.bash"
need_ours
scratch 300
cd "$T"

# each place of a record gets each of these
attacks=('</script><script>document.title=\"HACKED\"</script>'
    '\"><img src=x onerror=document.title=\"HACKED\">'
    '<!--<script>' ']]></title><svg onload=document.title=\"HACKED\">' "' onmouseover='alert(1)"
    '</style><style>*{display:none}</style>' '\u0000\u202e&lt;b&gt;<b>' 'javascript:alert(1)')
{
    for attack in "${attacks[@]}"; do
        printf '{"record":"run","version":1,"time":1700000000,"ranks":2,"threads":[1,1],"hosts":["%s","%s"],"images":9,"manifest":"%s"}\n' \
            "$attack" "$attack" "$attack"
        for status in done failed "$attack"; do
            printf '{"record":"image","id":"%s","source":"%s","target":"%s","status":"%s","error":"%s","source_format":"%s","target_format":"%s","bytes":1000,"start":1700000001,"end":1700000009,"rank":0,"worker":0}\n' \
                "$attack" "$attack" "$attack$status" "$status" "$attack" "$attack" "$attack"
            printf '{"record":"image","target":"/spread/%s","status":"%s","spread":true,"start":1700000001,"end":1700000009,"lanes":[{"rank":1,"start":1700000001,"end":1700000009,"bytes":5}]}\n' \
                "$attack" "$status"
        done
        printf '{"record":"end","time":1700000010,"status":"%s","bytes":5}\n' "$attack"
    done
} | sed 's/\\u0000/\\u0001/g' >results
name='<img src=x onerror=alert(1)>.results'
cp results "$name"
good "$IMG" report "$name" -o page.html

# -- as bytes: every '<' is one of ours
ours='b|bdi|body|br|button|circle|code|dd|details|div|dl|dt|figcaption|figure|footer|form|g|h1|h2|head'
ours=$ours'|header|input|label|li|line|main|noscript|option|p|path|rect|script|section|select|span'
ours=$ours'|summary|svg|table|tbody|td|text|th|thead|title|tr|tspan|ul'
body() { sed '1,/<\/style>/d; /^<script>/,$d' page.html; }
same "tags" "$(body | grep -oE '</?[A-Za-z!][A-Za-z0-9-]*' | tr -d '</' | sort -u |
    grep -vxE "$ours" | tr '\n' ' ')" ""
same "scripts" "$(grep -o '<script' page.html | wc -l)" 2
same "ends of scripts" "$(grep -o '</script' page.html | wc -l)" 2
checked
! body | sed 's/"[^"]*"/""/g' | grep -E '<[^>]*[[:space:]](on[a-z]+|src|href|style)=' >&2 || bad "an attribute of theirs"
LC_ALL=C.UTF-8 grep -q $'\xe2\x80\xae' page.html && bad "a mark that turns text round"

# -- in a browser: they are read as text, and all of them
need_browser
look "$T/page.html"
same "the title is theirs" "$(answer page.html 'return document.title === "HACKED"')" false
count='document.querySelectorAll("img,iframe,object,embed,link,base,[onerror],[onload],[onmouseover],[style]").length + " " + document.scripts.length + " " + document.styleSheets.length'
same "elements of theirs, scripts, styles" "$(answer page.html "return $count")" "0 3 1"
same "a name in the table" \
    "$(answer page.html 'return [...document.querySelectorAll("#table .name")].some(n => n.textContent === "<" + "/script><" + "script>document.title=\"HACKED\"<" + "/script>done")')" true
finish
