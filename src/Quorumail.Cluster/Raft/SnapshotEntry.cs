using System.IO.Hashing;
using DotNext.IO;
using DotNext.IO.Log;
using DotNext.Net.Cluster.Consensus.Raft;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Raft;

/// <summary>What stands for the forgotten part of the log. Its contents are made only when a member that lags reads them.</summary>
internal sealed class SnapshotEntry(JournalMark mark, ReplicatedStates states) : IRaftLogEntry
{
    public long Term => mark.Term;

    /// <summary>The last entry that it stands for.</summary>
    public long Index => mark.Index;

    public long? Length => null;

    public bool IsReusable => true;

    bool ILogEntry.IsSnapshot => true;

    public async ValueTask WriteToAsync<TWriter>(TWriter writer, CancellationToken token)
        where TWriter : IAsyncBinaryWriter
    {
        HashingStream<TWriter> stream = new(writer);
        await using (stream)
        {
            long index = await states.SaveSnapshotAsync(stream, token);

            // Of the mark, not of the states, which have gone on: the member reads what follows the mark, and has to give it
            // the stamps that it was applied with here.
            await writer.Invoke(SnapshotFormat.Trailer(index, mark.Stamp, stream.Hash), token);
        }
    }

    private sealed class HashingStream<TWriter>(TWriter writer) : Stream
        where TWriter : IAsyncBinaryWriter
    {
        public XxHash3 Hash { get; } = new();

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) =>
            throw new NotSupportedException("A snapshot is written asynchronously.");

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Hash.Append(buffer.Span);
            return writer.Invoke(buffer, cancellationToken);
        }
    }
}
