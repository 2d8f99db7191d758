using System.Buffers;
using System.Collections.Concurrent;
using System.Globalization;
using Microsoft.Extensions.Logging;
using Quorumail.Server.Http;

namespace Quorumail.Server.Logging;

/// <summary>
/// One thread that renders queued events and writes them, many with one write. The queue is bounded; what doesn't fit is
/// dropped and counted, and the count is logged as soon as there is room. A slow reader of the log never slows mail down.
/// </summary>
internal sealed class LogWriter : IDisposable
{
    /// <summary>How long an event may wait for company, so that a busy server makes few wake-ups and few writes.</summary>
    private static readonly TimeSpan Linger = TimeSpan.FromMilliseconds(5);

    /// <summary>How long a stop may take when the reader of the log has stopped reading.</summary>
    private static readonly TimeSpan FlushTimeout = TimeSpan.FromSeconds(5);

    private const int BatchBytes = 64 * 1024;

    private readonly ConcurrentQueue<LogEntry> _queue = new();
    private readonly AutoResetEvent _wake = new(initialState: false);
    private readonly ManualResetEventSlim _stop = new(initialState: false, spinCount: 0); // Lingering is for others to run.
    private readonly ArrayBufferWriter<byte> _buffer = new(BatchBytes * 2);
    private readonly ILogFormatter _formatter;
    private readonly Stream _output;
    private readonly int _capacity;
    private readonly bool _journal;
    private readonly TimeProvider _clock;
    private readonly Thread _thread;
    private int _waiting;
    private int _asleep;
    private long _dropped;
    private long _droppedReported;
    private int _batchEntries;

    public LogWriter(ILogFormatter formatter, Stream output, int capacity, bool journal, TimeProvider clock)
    {
        _formatter = formatter;
        _output = output;
        _capacity = capacity;
        _journal = journal;
        _clock = clock;
        _thread = new Thread(Run) { IsBackground = true, Name = "log" };
        _thread.Start();
    }

    /// <summary>Events dropped so far.</summary>
    public long Dropped => Interlocked.Read(ref _dropped);

    /// <summary>Queues an event, or drops it. Never blocks.</summary>
    public void Enqueue(in LogEntry entry)
    {
        if (Interlocked.Increment(ref _waiting) > _capacity)
        {
            Interlocked.Decrement(ref _waiting);
            Drop(1);
            return;
        }

        _queue.Enqueue(entry);

        // The entry must be visible before the flag is read, else writer and caller could each miss the other.
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _asleep) == 1 && Interlocked.Exchange(ref _asleep, 0) == 1)
        {
            _wake.Set();
        }
    }

    /// <summary>Writes what waits, within a bound, and stops.</summary>
    public void Dispose()
    {
        if (_stop.IsSet)
        {
            return;
        }

        _stop.Set();
        _wake.Set();
        if (_thread.Join(FlushTimeout))
        {
            _wake.Dispose();
            _stop.Dispose();
        }
    }

    private void Run()
    {
        while (true)
        {
            var stopping = _stop.IsSet;
            try
            {
                Drain();
            }
            catch (IOException)
            {
                // Nobody reads standard output any more; mail goes on without a log. Flush has counted what it could not write.
            }

            if (stopping)
            {
                return;
            }

            Interlocked.Exchange(ref _asleep, 1);
            if (_queue.IsEmpty && !_stop.IsSet)
            {
                _wake.WaitOne();
            }

            Interlocked.Exchange(ref _asleep, 0);
            _stop.Wait(Linger);
        }
    }

    private void Drain()
    {
        while (_queue.TryDequeue(out var entry))
        {
            Interlocked.Decrement(ref _waiting);
            Append(entry);
            _batchEntries++;
            if (_buffer.WrittenCount >= BatchBytes)
            {
                Flush();
            }
        }

        var dropped = Dropped;
        if (dropped > _droppedReported)
        {
            var lost = dropped - _droppedReported;
            var text = string.Create(CultureInfo.InvariantCulture, $"{lost} log lines were dropped: standard output is too slow");
            Append(new LogEntry(_clock.GetUtcNow(), LogLevel.Warning, "log", null, text, null, null));
        }

        Flush();
        _droppedReported = dropped;
    }

    private void Drop(int entries)
    {
        Interlocked.Add(ref _dropped, entries);
        Metrics.LogLinesDropped.Inc(entries);
    }

    private void Append(in LogEntry entry)
    {
        if (_journal)
        {
            _buffer.Write(JournalPriority(entry.Level));
        }

        _formatter.Write(entry, _buffer);
    }

    private void Flush()
    {
        if (_buffer.WrittenCount == 0)
        {
            return;
        }

        try
        {
            _output.Write(_buffer.WrittenSpan);
            _output.Flush();
        }
        catch (IOException)
        {
            Drop(_batchEntries);
            throw;
        }
        finally
        {
            _buffer.ResetWrittenCount();
            _batchEntries = 0;
        }
    }

    // sd-daemon(3): a line may begin with its syslog level.
    private static ReadOnlySpan<byte> JournalPriority(LogLevel level) => level switch
    {
        LogLevel.Critical => "<2>"u8,
        LogLevel.Error => "<3>"u8,
        LogLevel.Warning => "<4>"u8,
        LogLevel.Information => "<6>"u8,
        _ => "<7>"u8,
    };
}
