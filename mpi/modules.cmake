# The MPI modules, mpi-img-openmpi.so and mpi-img-mpich.so: the one file mpi.c, built with each MPI
# that is there. Nothing else is compiled or linked with MPI.
#
# An MPI is found by its compiler wrapper, Debian's own name for it or the mpicc of the PATH, else by
# pkg-config. Where two of them are on the PATH, both as mpicc:
#   cmake -DOPENMPI_WRAPPER=/opt/openmpi/bin/mpicc -DMPICH_WRAPPER=/opt/mpich/bin/mpicc
# -DMPICH_WRAPPER=OFF leaves that module out. Everything that calls itself MPICH in its mpi.h counts as
# that (MVAPICH, Intel MPI, Cray MPICH).

# mpi_macro(WRAPPER MACRO OUT): what mpi.h defines MACRO as; empty if it does not
function(mpi_macro wrapper macro out)
  set(probe ${CMAKE_BINARY_DIR}/CMakeFiles/mpi-probe.c)
  file(WRITE ${probe} "#include <mpi.h>\n")
  execute_process(COMMAND ${wrapper} -E -dM ${probe}
    OUTPUT_VARIABLE macros ERROR_QUIET RESULT_VARIABLE failed)
  string(REGEX MATCH "#define ${macro} \"?([^\"\n]+)" found "${macros}")
  set(${out} "${CMAKE_MATCH_1}" PARENT_SCOPE)
endfunction()

# mpi_flags(WRAPPER OUT_COMPILE OUT_LINK): what the wrapper adds to the compiler's command line, with
# full names of libraries, so that programs of the build folder find them
function(mpi_flags wrapper out_compile out_link)
  execute_process(COMMAND ${wrapper} -show OUTPUT_VARIABLE line
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  separate_arguments(words UNIX_COMMAND "${line}")
  list(FILTER words EXCLUDE REGEX "^-[gO]")
  set(compile ${words})
  list(FILTER compile INCLUDE REGEX "^-[ID]")
  set(folders ${words})
  list(FILTER folders INCLUDE REGEX "^-L")
  list(TRANSFORM folders REPLACE "^-L" "")
  set(link ${words})
  list(FILTER link INCLUDE REGEX "^-(Wl,|l)")
  set(full)
  foreach(word ${link})
    string(REGEX REPLACE "^-l" "" library "${word}")
    unset(found CACHE)
    if(word MATCHES "^-l")
      find_library(found ${library} PATHS ${folders} NO_DEFAULT_PATH)
    endif()
    if(found)
      list(APPEND full ${found})
    else()
      list(APPEND full ${word})
    endif()
    unset(found CACHE)
  endforeach()
  set(${out_compile} "${compile}" PARENT_SCOPE)
  set(${out_link} "${full}" PARENT_SCOPE)
endfunction()

# mpi_module(NAME TITLE MACRO PACKAGE FILE...): sets <NAME>_FOUND, <NAME>_VERSION, <NAME>_MPIRUN
function(mpi_module name title macro package)
  string(TOLOWER ${name} lower)
  if("${${name}_WRAPPER}" STREQUAL OFF)
    set(${name}_FOUND FALSE PARENT_SCOPE)
    return()
  endif()
  find_program(${name}_WRAPPER NAMES mpicc.${lower} mpicc)
  set(version)
  if(${name}_WRAPPER)
    mpi_macro(${${name}_WRAPPER} ${macro} version)
  endif()
  if(version)
    mpi_flags(${${name}_WRAPPER} compile link)
    string(REPLACE mpicc mpirun mpirun ${${name}_WRAPPER})
  else()
    pkg_check_modules(${name}_PC QUIET ${package})
    set(version ${${name}_PC_VERSION})
    set(compile ${${name}_PC_CFLAGS})
    set(link ${${name}_PC_LINK_LIBRARIES} ${${name}_PC_LDFLAGS_OTHER})
    set(mpirun ${${name}_PC_PREFIX}/bin/mpirun)
  endif()
  if(NOT version)
    message(STATUS "without ${title} (no mpicc.${lower}, no mpicc of it, no ${package}.pc): "
      "mpi-img-${lower}.so left out")
    set(${name}_FOUND FALSE PARENT_SCOPE)
    return()
  endif()
  if(macro STREQUAL OMPI_MAJOR_VERSION AND ${name}_WRAPPER)
    mpi_macro(${${name}_WRAPPER} OMPI_MINOR_VERSION minor)
    mpi_macro(${${name}_WRAPPER} OMPI_RELEASE_VERSION release)
    set(version ${version}.${minor}.${release})
  endif()
  message(STATUS "${title} ${version}: mpi-img-${lower}.so")
  add_library(mpi-img-${lower} MODULE 
    mpi/mpi.c src/base/err.c src/base/mem.c ${ARGN})
  set_target_properties(mpi-img-${lower} PROPERTIES PREFIX "" C_VISIBILITY_PRESET hidden
    INSTALL_RPATH_USE_LINK_PATH ON)
  target_include_directories(mpi-img-${lower} PRIVATE src .)
  target_compile_definitions(mpi-img-${lower} PRIVATE "WIRE_NAME=\"${title}\"")
  target_compile_options(mpi-img-${lower} PRIVATE ${compile})
  target_link_libraries(mpi-img-${lower} ${link})
  install(TARGETS mpi-img-${lower} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/mpi-img)
  set(${name}_FOUND TRUE PARENT_SCOPE)
  set(${name}_VERSION "${title} ${version}" PARENT_SCOPE)
  if(EXISTS ${mpirun})
    set(${name}_MPIRUN ${mpirun} PARENT_SCOPE)
  endif()
endfunction()

mpi_module(OPENMPI "Open MPI" OMPI_MAJOR_VERSION ompi-c)
mpi_module(MPICH MPICH MPICH_VERSION mpich mpi/mpich_finalize.c)
