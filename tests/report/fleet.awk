# The results of a fleet that never was: awk -v NAME=VALUE.. -f fleet.awk. The same on every run.
#
#   images=200      how many; every image has 1 to 100 MiB
#   large=1         images of 4 GiB that are spread over all ranks
#   ranks=2 workers=4
#   every=0         each so many images one fails
#   begin=1700000000 seconds of 1970
#   from=1          number of the first image; those before are skipped
#   stop=0          seconds after which the run is stopped; 0 = it ends by itself
#   step=10         seconds between two progress records; 0 = none
#   torn=0          1 = the last line is half there, and there is no end

function random(n) {
    seed = (seed * 69069 + 12345) % 2147483648
    return int(seed / 65536) % n
}

function head(k) {
    return sprintf("\"id\":null,\"source\":\"/srv/images/tier%d/disk%05d.vmdk\",\"target\":\"/scratch/out/tier%d/disk%05d.qcow2\"",
        k % 7, k, k % 7, k)
}

function sizes(bytes) {
    return sprintf("\"source_format\":\"vmdk\",\"target_format\":\"qcow2\",\"virtual_size\":%.0f,\"source_bytes\":%.0f,\"target_bytes\":%.0f,\"bytes\":%.0f",
        bytes * 2, bytes, bytes * 0.6, bytes)
}

function whole(k, rank, worker, start, end, bytes, status, error) {
    done[n] = end
    moved[n] = bytes
    state[n] = status
    line[n++] = sprintf("{\"record\":\"image\",%s,\"status\":\"%s\",\"error\":%s,\"attempts\":%d,%s,\"start\":%.3f,\"end\":%.3f,\"seconds\":%.3f,\"spread\":false,\"rank\":%d,\"worker\":%d,\"hash\":null}",
        head(k), status, error, status == "failed" ? 2 : 1, sizes(bytes), start, end,
        end - start, rank, worker)
}

function spread(k, start, end, bytes, status,    r, lanes) {
    for (r = 0; r < ranks; r++)
        lanes = lanes sprintf("%s{\"rank\":%d,\"start\":%.3f,\"end\":%.3f,\"bytes\":%.0f}",
            r ? "," : "", r, start + r * 0.3, end - r * 0.2, bytes / ranks)
    done[n] = end
    moved[n] = bytes
    state[n] = status
    line[n++] = sprintf("{\"record\":\"image\",%s,\"status\":\"%s\",\"error\":null,\"attempts\":1,%s,\"start\":%.3f,\"end\":%.3f,\"seconds\":%.3f,\"spread\":true,\"rank\":null,\"worker\":null,\"lanes\":[",
        head(k), status, sizes(bytes), start, end, end - start) lanes "]}"
}

# The worker that is free first.
function next_worker(    w, best) {
    best = 0
    for (w = 1; w < ranks * workers; w++)
        if (free[w] < free[best])
            best = w
    return best
}

function reason(k) {
    if (k % 3 == 0)
        return sprintf("\"Could not open '/srv/images/tier%d/disk%05d.vmdk': Permission denied\"", k % 7, k)
    return k % 3 == 1 ? "\"No space left on device\"" : "\"error while reading at byte " k * 512 ": Input/output error\""
}

function small_images(    k, w, bytes, seconds, end, status) {
    for (k = from + large; k <= images; k++) {
        w = next_worker()
        bytes = (1 + random(100)) * 1048576
        seconds = bytes / 25e6 + random(1000) / 900
        status = every && k % every == 0 ? "failed" : "done"
        end = free[w] + seconds
        if (stop && free[w] >= begin + stop)
            continue
        if (stop && end > begin + stop) {
            end = begin + stop
            status = "stopped"
        }
        whole(k, int(w / workers), w % workers, free[w], end, bytes, status, status == "failed" ? reason(k) : "null")
        free[w] = end + 0.02
        if (end > last)
            last = end
    }
}

function large_images(    k, start, end) {
    for (k = from; k < from + large; k++) {
        start = begin + 1 + (k - from) * 12
        end = start + 40 + random(30)
        if (stop && end > begin + stop)
            end = begin + stop
        spread(k, start, end, 4294967296, stop && end >= begin + stop ? "stopped" : "done")
        if (end > last)
            last = end
    }
}

# order[from .. to] by the time of the lines' end.
function sort(from, to,    i, j, pivot, t) {
    for (; from < to; from = i) {
        pivot = done[order[int((from + to) / 2)]]
        i = from
        j = to
        while (i <= j) {
            while (done[order[i]] < pivot)
                i++
            while (done[order[j]] > pivot)
                j--
            if (i <= j) {
                t = order[i]
                order[i++] = order[j]
                order[j--] = t
            }
        }
        sort(from, j)
    }
}

# Lines in the order of their end, with progress between.
function tell(    k, at, bytes, good, bad, before) {
    at = begin + step
    for (k = 0; k < n; k++)
        order[k] = k
    sort(0, n - 1)
    for (k = 0; k < n; k++) {
        for (; step && at < done[order[k]]; at += step) {
            printf "{\"record\":\"progress\",\"time\":%.3f,\"bytes\":%.0f,\"rate\":%.0f,\"done\":%d,\"failed\":%d,\"left\":%d,\"busy\":%.3f}\n",
                at, bytes, (bytes - before) / step, good, bad, images - good - bad, 0.9 + random(100) / 1000
            before = bytes
        }
        bytes += moved[order[k]]
        bad += state[order[k]] == "failed"
        good += state[order[k]] == "done"
        if (torn && k == n - 1)
            printf "%s", substr(line[order[k]], 1, 120)
        else
            print line[order[k]]
    }
    if (!torn)
        printf "{\"record\":\"end\",\"time\":%.3f,\"status\":\"%s\",\"images\":%d,\"done\":%d,\"failed\":%d,\"skipped\":%d,\"left\":%d,\"bytes\":%.0f,\"seconds\":%.3f,\"busy\":0.947}\n",
            last + 0.5, stop ? "stopped" : bad ? "failed" : "complete", images, good, bad, from - 1, images - good - bad, bytes, last + 0.5 - begin
}

BEGIN {
    seed = 42 + from
    images = images == "" ? 200 : images
    large = large == "" ? 1 : large
    ranks = ranks == "" ? 2 : ranks
    workers = workers == "" ? 4 : workers
    begin = begin == "" ? 1700000000 : begin
    from = from == "" ? 1 : from
    step = step == "" ? 10 : step
    n = 0
    for (r = 0; r < ranks; r++) {
        threads = threads (r ? "," : "") workers
        hosts = hosts (r ? "," : "") "\"node" int(r / 2) "\""
    }
    print "{\"record\":\"run\",\"version\":1,\"time\":" begin ",\"ranks\":" ranks ",\"threads\":[" threads "],\"hosts\":[" hosts "],\"images\":" images ",\"manifest\":\"/home/ops/fleet.jsonl\"}"
    for (k = 1; k < from; k++)
        printf "{\"record\":\"image\",%s,\"status\":\"skipped\",\"error\":null,\"attempts\":0}\n", head(k)
    for (w = 0; w < ranks * workers; w++)
        free[w] = begin + 0.5
    large_images()
    small_images()
    tell()
}
