using System.Net;
using DotNext.Net.Cluster.Consensus.Raft;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// Takes the parts of a snapshot into a file and gives it to the engine when it is whole. One snapshot at a time: a new one
/// takes the place of another that did not come to its end.
/// </summary>
internal sealed class SnapshotIntake(string path, RaftNode node) : IDisposable
{
    private readonly SemaphoreSlim _one = new(1);
    private readonly SortedDictionary<long, byte[]> _early = [];
    private FileStream? _file;
    private Guid _id;

    /// <summary>Answers one frame, whose kind has been read.</summary>
    /// <exception cref="InvalidDataException">The frame is not well-formed.</exception>
    public async Task<ReadOnlyMemory<byte>> AnswerAsync(DnsEndPoint leader, SnapshotFrame kind, FrameReader frame, CancellationToken token)
    {
        Guid id = frame.Id();
        await _one.WaitAsync(token);
        try
        {
            switch (kind)
            {
                case SnapshotFrame.Begin when !node.Trail.HasFailed: // What is staged may be needed by the next start.
                    await DropAsync();
                    _file = StagedSnapshot.Create(path);
                    _id = id;
                    return new[] { (byte)FrameAnswer.Done };
                case SnapshotFrame.Part when _file is not null && id == _id:
                    await WriteAsync(frame.Long(), frame.Bytes(), token);
                    return new[] { (byte)FrameAnswer.Done };
                case SnapshotFrame.Install when _file is not null && id == _id:
                    return await InstallAsync(leader, _file, frame);
                default:
                    return new[] { (byte)FrameAnswer.Refused };
            }
        }
        finally
        {
            _one.Release();
        }
    }

    public void Dispose()
    {
        _file?.Dispose();
        _one.Dispose();
    }

    // Parts are asked for a few at a time, and may come in another order.
    private async Task WriteAsync(long offset, ReadOnlyMemory<byte> bytes, CancellationToken token)
    {
        if (offset != _file!.Position)
        {
            if (offset < _file.Position || _early.Count >= 16)
            {
                throw new InvalidDataException($"A part of a snapshot begins at {offset}, not at {_file.Position}.");
            }

            _early[offset] = bytes.ToArray();
            return;
        }

        await _file.WriteAsync(bytes, token);
        while (_early.Remove(_file.Position, out byte[]? next))
        {
            await _file.WriteAsync(next, token);
        }
    }

    private async Task<ReadOnlyMemory<byte>> InstallAsync(DnsEndPoint leader, FileStream file, FrameReader frame)
    {
        (long length, long term, long index, long entryTerm, long version) = (frame.Long(), frame.Long(), frame.Long(), frame.Long(), frame.Long());
        MemberSet members = MemberSet.Decode(frame.Bytes().Span);
        if (file.Position != length)
        {
            return new[] { (byte)FrameAnswer.Refused };
        }

        // Once begun it is brought to its end: half an installation is none, and would be done again at the next start.
        Result<HeartbeatResult> result = await node.InstallAsync(
            leader, term, new StagedSnapshot(file, entryTerm, members, version), index, CancellationToken.None);
        await DropAsync();
        using FrameWriter answer = new();
        return answer.Byte((byte)FrameAnswer.Done).Long(result.Term).Byte((byte)result.Value).ToArray();
    }

    private async Task DropAsync()
    {
        _early.Clear();
        if (_file is { } file)
        {
            _file = null;
            await file.DisposeAsync();
            File.Delete(path);
        }
    }
}
