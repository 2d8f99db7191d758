using System.Diagnostics;
using Prometheus;

namespace Quorumail.Server.Http;

/// <summary>Figures that are read off process and queue whenever someone scrapes.</summary>
internal sealed class ProcessMetrics
{
    private readonly ServerStatus _status;
    private readonly Gauge _uptime;
    private readonly Gauge _ready;
    private readonly Gauge _queueSize;
    private readonly Gauge _queueOctets;
    private readonly Gauge _queued;
    private readonly Gauge _suspects;
    private readonly Gauge _suspectsOverflowed;
    private readonly Gauge _owned;
    private readonly Gauge _copiesMissing;
    private readonly Gauge _withoutCopy;
    private readonly Gauge _withoutOwner;
    private readonly Gauge _commitIndex;
    private readonly Gauge _appliedIndex;
    private readonly Gauge _resident;
    private readonly Counter _processor;
    private readonly Gauge _files;
    private readonly Gauge _threads;
    private readonly Gauge _heap;
    private readonly Lock _sync = new();

    public ProcessMetrics(ServerStatus status)
    {
        _status = status;
        var factory = Prometheus.Metrics.WithCustomRegistry(Metrics.Registry);
        _uptime = factory.CreateGauge("smtp_uptime_seconds", "Seconds since start.");
        _ready = factory.CreateGauge("smtp_ready", "1 while mail is accepted, else 0.");
        _queueSize = factory.CreateGauge("smtp_queue_size", "Messages in the queue.");
        _queueOctets = factory.CreateGauge("smtp_queue_bytes", "Octets of the messages in the queue.");
        _queued = factory.CreateGauge("smtp_messages_queued", "Messages in the queue by state: pending, processing, retry or held.", ["state"]);
        _suspects = factory.CreateGauge("smtp_suspects", "Deliveries that may have happened twice and are listed.");
        _suspectsOverflowed = factory.CreateGauge("smtp_suspects_overflowed", "Deliveries that may have happened twice and were dropped from the list because it was full.");
        _owned = factory.CreateGauge("smtp_queue_owned", "Messages in the queue that this node delivers.");
        _copiesMissing = factory.CreateGauge("smtp_queue_copies_missing", "Messages with fewer copies on members' disks than [cluster] min_copies.");
        _withoutCopy = factory.CreateGauge("smtp_queue_without_copy", "Messages without a copy on any member's disk.");
        _withoutOwner = factory.CreateGauge("smtp_queue_without_owner", "Messages that wait because no node that holds them is up.");
        _commitIndex = factory.CreateGauge("smtp_log_commit_index", "Index of the last committed entry of the replicated log.");
        _appliedIndex = factory.CreateGauge("smtp_log_applied_index", "Index of the last applied entry of the replicated log.");
        _resident = factory.CreateGauge("process_resident_memory_bytes", "Resident memory size in bytes.");
        _processor = factory.CreateCounter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.");
        _files = factory.CreateGauge("process_open_fds", "Number of open file descriptors.");
        _threads = factory.CreateGauge("process_threads", "Number of threads.");
        _heap = factory.CreateGauge("process_managed_heap_bytes", "Octets in use on the managed heap.");
    }

    /// <summary>Sets every figure to what it is now.</summary>
    public void Update()
    {
        lock (_sync)
        {
            _uptime.Set(_status.Uptime.TotalSeconds);
            _ready.Set(_status.NotReadyReasons().Count == 0 ? 1 : 0);
            if (_status.Queue is { } queue)
            {
                var counts = queue.Counts();
                _queueSize.Set(counts.Total);
                _queueOctets.Set(counts.Octets);
                _queued.WithLabels("pending").Set(counts.Queued);
                _queued.WithLabels("processing").Set(counts.Attempting);
                _queued.WithLabels("retry").Set(counts.Deferred);
                _queued.WithLabels("held").Set(counts.Held);
                var suspects = queue.Administration.SuspectCounts();
                _suspects.Set(suspects.Listed);
                _suspectsOverflowed.Set(suspects.Overflowed);
                var copies = queue.Copies();
                _owned.Set(queue.Owned());
                _copiesMissing.Set(copies.TooFew);
                _withoutCopy.Set(copies.None);
                _withoutOwner.Set(copies.WithoutOwner);
                _commitIndex.Set(queue.CommitIndex());
                _appliedIndex.Set(queue.AppliedIndex());
            }

            using var process = Process.GetCurrentProcess();
            _resident.Set(process.WorkingSet64);
            _processor.IncTo(process.TotalProcessorTime.TotalSeconds);
            _threads.Set(process.Threads.Count);
            _files.Set(OpenFiles());
            _heap.Set(GC.GetTotalMemory(forceFullCollection: false));
        }
    }

    private static int OpenFiles()
    {
        const string Descriptors = "/proc/self/fd";
        return Directory.Exists(Descriptors) ? Directory.EnumerateFileSystemEntries(Descriptors).Count() : 0;
    }
}
