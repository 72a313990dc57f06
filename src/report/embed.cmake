# cmake -DFROM=FOLDER -DTO=FILE.c -P embed.cmake: page.css and page.js as strings of a C file, each
# with its hash as a content security policy names it.

# The 64 digits of a hash as base64: the last group has two bytes of three.
function(base64_of hex out)
  set(signs ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/)
  set(text "")
  foreach(at RANGE 0 60 6)
    string(SUBSTRING "${hex}00" ${at} 6 group)
    foreach(shift 18 12 6 0)
      math(EXPR sign "(0x${group} >> ${shift}) & 63")
      string(SUBSTRING ${signs} ${sign} 1 one)
      string(APPEND text ${one})
    endforeach()
  endforeach()
  string(REGEX REPLACE ".$" "=" text ${text})
  set(${out} ${text} PARENT_SCOPE)
endfunction()

set(code "/* Made by embed.cmake. */\n#include \"report/page_parts.h\"\n")
foreach(name css js)
  set(file ${FROM}/page.${name})
  file(READ ${file} bytes HEX)
  file(SHA256 ${file} hash)
  base64_of(${hash} hash)
  string(REGEX REPLACE "(..)" "0x\\1," bytes ${bytes})
  string(APPEND code "const char page_${name}[] = {${bytes}0};\n"
    "const char page_${name}_hash[] = \"sha256-${hash}\";\n")
endforeach()
file(WRITE ${TO} "${code}")
