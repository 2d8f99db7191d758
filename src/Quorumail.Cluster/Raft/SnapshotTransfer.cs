using DotNext.IO;
using DotNext.Net.Cluster;
using DotNext.Net.Cluster.Consensus.Raft;
using Microsoft.Extensions.Logging;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// Sends a snapshot to one member, beside the heartbeats, part by part as the state writes it: a few parts are in memory
/// at a time, and each has a time-out of its own, so that no size is too large. If it fails it is begun anew. The log must not forget meanwhile
/// what comes after the snapshot: if it grows too much until the member has it, the transfer is given up, and begun anew after a pause.
/// </summary>
internal sealed partial class SnapshotTransfer : IDisposable
{
    private const int PartBytes = 512 << 10;
    private const int PartsAtOnce = 4;

    private static readonly TimeSpan PartPatience = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan InstallPatience = TimeSpan.FromMinutes(10);

    // So long the member has after the installation to fetch what follows before the journal may forget it.
    private static readonly TimeSpan CatchUpTime = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan LookInterval = TimeSpan.FromSeconds(1);

    // Doubled with each transfer that is given up after the other.
    private static readonly TimeSpan FirstPause = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromHours(1);

    private readonly RaftMember _member;
    private readonly RaftNode _node;
    private readonly SnapshotEntry _snapshot;
    private readonly long _term;
    private readonly CancellationTokenSource _stop;
    private readonly Guid _id = Guid.NewGuid();
    private readonly IDisposable _retention;
    private readonly ITimer _looking;
    private readonly long _writtenBefore;
    private readonly long _room;
    private readonly Lock _ending = new();
    private bool _isOver;
    private long _givenUpAt;

    public SnapshotTransfer(
        RaftMember member, RaftNode node, SnapshotEntry snapshot, long term, ReadOnlyMemory<byte> members, long version, int earlier, CancellationToken token)
    {
        Earlier = earlier;
        _member = member;
        _node = node;
        _snapshot = snapshot;
        _term = term;
        _stop = CancellationTokenSource.CreateLinkedTokenSource(token);
        _writtenBefore = node.LogWritten();
        _room = node.LogRoom();
        _retention = node.Trail.Retain(snapshot.Index);
        _looking = node.Time.CreateTimer(static transfer => ((SnapshotTransfer)transfer!).Look(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        Completed = Task.Run(() => RunAsync(members.ToArray(), version, _stop.Token), CancellationToken.None);
        _looking.Change(LookInterval, LookInterval);
    }

    /// <summary>Completes with true when the member has installed it, with false if it has not.</summary>
    public Task<bool> Completed { get; }

    /// <summary>Bytes sent so far.</summary>
    public long Sent { get; private set; }

    /// <summary>How many before this one were given up, one after the other.</summary>
    public int Earlier { get; }

    /// <summary>Whether it was given up because the member was too slow for the log.</summary>
    public bool IsGivenUp => Volatile.Read(ref _givenUpAt) != 0;

    /// <summary>Whether it was given up, and it is too early for another one.</summary>
    public bool IsPausing => Volatile.Read(ref _givenUpAt) is not 0 and var at && _node.Time.GetElapsedTime(at) < Pause;

    private TimeSpan Pause => Earlier < 6 ? FirstPause * (1 << Earlier) : LongestPause;

    /// <summary>Whether another one is needed for what is asked for now.</summary>
    public bool IsOver(long index, long term) =>
        !IsPausing && (_term != term || _snapshot.Index < index || Completed is { IsCompletedSuccessfully: true, Result: false });

    public void Dispose() => _stop.Cancel();

    private void Look()
    {
        long grown = _node.LogWritten() - _writtenBefore;
        if (grown <= _room)
        {
            return;
        }

        lock (_ending)
        {
            if (_isOver)
            {
                return;
            }

            if (!Completed.IsCompleted)
            {
                Volatile.Write(ref _givenUpAt, _node.Time.GetTimestamp());
                LogGivenUp(_node.Log, _member.NodeId, Sent >> 20, grown >> 20, Pause);
            }
        }

        _stop.Cancel();
        Release();
    }

    private void Release()
    {
        lock (_ending)
        {
            _isOver = true;
        }

        _looking.Dispose();
        _retention.Dispose();
    }

    private async Task<bool> RunAsync(byte[] members, long version, CancellationToken token)
    {
        try
        {
            await AskAsync(Head(SnapshotFrame.Begin), PartPatience, token);
            PartStream parts = new(this, token);
            await using (parts)
            {
                await _snapshot.WriteToAsync(parts, PartBytes, token);
                await parts.EndAsync();
            }

            FrameWriter install = Head(SnapshotFrame.Install)
                .Long(Sent).Long(_term).Long(_snapshot.Index).Long(_snapshot.Term).Long(version).Bytes(members);
            FrameReader answer = await AskAsync(install, InstallPatience, token);
            _ = answer.Long();
            _ = Task.Delay(CatchUpTime, _node.Time, CancellationToken.None)
                .ContinueWith(_ => Release(), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            return (HeartbeatResult)answer.Byte() != HeartbeatResult.Rejected;
        }
        catch (Exception failure) when (failure is IOException or OperationCanceledException or ObjectDisposedException or InvalidDataException)
        {
            Release();
            return false;
        }
    }

    [LoggerMessage(
        LogLevel.Warning,
        "node {NodeId} is too slow for a snapshot: {SentMiB} MiB were sent while the log grew by {GrownMiB} MiB, which this disk keeps for it. That is given up, and begun anew after {Pause}; mend the connection between the nodes, or remove the node")]
    private static partial void LogGivenUp(ILogger log, string nodeId, long sentMiB, long grownMiB, TimeSpan pause);

    private FrameWriter Head(SnapshotFrame kind, int capacity = 256) =>
        new FrameWriter(capacity).Byte((byte)kind).Int(_member.Incarnation).Id(_id);

    private async Task<FrameReader> AskAsync(FrameWriter frame, TimeSpan patience, CancellationToken token)
    {
        using (frame)
        {
            FrameReader answer = new(await _node.Calls.AskAsync(_member, FrameType.Snapshot, frame.Body, patience, token));
            FrameAnswer kind = (FrameAnswer)answer.Byte();
            return kind == FrameAnswer.Done ? answer : throw new MemberUnavailableException(_member, $"It answered {kind} to a snapshot.");
        }
    }

    /// <summary>Gathers what the state writes into parts, and sends a few at a time.</summary>
    private sealed class PartStream(SnapshotTransfer owner, CancellationToken stopped) : Stream
    {
        private readonly byte[] _part = new byte[PartBytes];
        private readonly Queue<Task> _underWay = new();
        private int _filled;

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public async ValueTask EndAsync()
        {
            await SendAsync();
            while (_underWay.TryDequeue(out Task? sent))
            {
                await sent;
            }
        }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            while (!buffer.IsEmpty)
            {
                int taken = Math.Min(buffer.Length, PartBytes - _filled);
                buffer[..taken].CopyTo(_part.AsMemory(_filled));
                _filled += taken;
                buffer = buffer[taken..];
                if (_filled == PartBytes)
                {
                    await SendAsync();
                }
            }
        }

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override void Write(byte[] buffer, int offset, int count) =>
            throw new NotSupportedException("A snapshot is written asynchronously.");

        public override void Flush()
        {
        }

        public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        private async ValueTask SendAsync()
        {
            if (_filled == 0)
            {
                return;
            }

            FrameWriter part = owner.Head(SnapshotFrame.Part, _filled + 64).Long(owner.Sent).Bytes(_part.AsSpan(0, _filled));
            owner.Sent += _filled;
            _filled = 0;
            _underWay.Enqueue(owner.AskAsync(part, PartPatience, stopped));
            if (_underWay.Count >= PartsAtOnce)
            {
                await _underWay.Dequeue();
            }
        }
    }
}
