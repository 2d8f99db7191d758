using DotNext.IO;
using DotNext.Net.Cluster;
using DotNext.Net.Cluster.Consensus.Raft;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// Sends a snapshot to one member, beside the heartbeats, part by part as the state writes it: a few parts are in memory
/// at a time, and each has a time-out of its own, so that no size is too large. If it fails it is begun anew.
/// </summary>
internal sealed class SnapshotTransfer : IDisposable
{
    private const int PartBytes = 512 << 10;
    private const int PartsAtOnce = 4;

    private static readonly TimeSpan PartPatience = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan InstallPatience = TimeSpan.FromMinutes(10);

    // So long the member has after the installation to fetch what follows before the journal may forget it.
    private static readonly TimeSpan CatchUpTime = TimeSpan.FromSeconds(30);

    private readonly RaftMember _member;
    private readonly RaftNode _node;
    private readonly SnapshotEntry _snapshot;
    private readonly long _term;
    private readonly CancellationTokenSource _stop;
    private readonly Guid _id = Guid.NewGuid();
    private readonly IDisposable _retention;

    public SnapshotTransfer(
        RaftMember member, RaftNode node, SnapshotEntry snapshot, long term, ReadOnlyMemory<byte> members, long version, CancellationToken token)
    {
        _member = member;
        _node = node;
        _snapshot = snapshot;
        _term = term;
        _stop = CancellationTokenSource.CreateLinkedTokenSource(token);
        _retention = node.Trail.Retain(snapshot.Index);
        Completed = Task.Run(() => RunAsync(members.ToArray(), version, _stop.Token), CancellationToken.None);
    }

    /// <summary>Completes with true when the member has installed it, with false if it has not.</summary>
    public Task<bool> Completed { get; }

    /// <summary>Bytes sent so far.</summary>
    public long Sent { get; private set; }

    /// <summary>Whether another one is needed for what is asked for now.</summary>
    public bool IsOver(long index, long term) =>
        _term != term || _snapshot.Index < index || Completed is { IsCompletedSuccessfully: true, Result: false };

    public void Dispose() => _stop.Cancel();

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
                .ContinueWith(_ => _retention.Dispose(), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            return (HeartbeatResult)answer.Byte() != HeartbeatResult.Rejected;
        }
        catch (Exception failure) when (failure is IOException or OperationCanceledException or ObjectDisposedException or InvalidDataException)
        {
            _retention.Dispose();
            return false;
        }
    }

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
