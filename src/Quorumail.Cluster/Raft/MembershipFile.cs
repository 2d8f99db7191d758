using System.Buffers.Binary;
using System.IO.Hashing;
using System.Net;
using DotNext.IO;
using DotNext.Net.Cluster.Consensus.Raft.Membership;
using Quorumail.Cluster.Disk;
using Quorumail.Cluster.Journal;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// Keeps the members across restarts. The engine's own file is made durable by calls that swallow errors. The file: log
/// index of the entry that set them (8 bytes, little-endian; 0 for the founder's), the members, XxHash3 of all that.
/// </summary>
internal sealed class MembershipFile : IClusterConfigurationStorage<EndPoint>
{
    private readonly string _path;
    private readonly Lock _lock = new();
    private MemberSet _members;
    private long _version;

    private MembershipFile(string path, MemberSet members, long version)
    {
        _path = path;
        _members = members;
        _version = version;
    }

    public event Func<IClusterConfiguration<EndPoint>, CancellationToken, ValueTask>? ConfigurationChanged;

    public IReadOnlySet<EndPoint> Members
    {
        get
        {
            lock (_lock)
            {
                return _members.Members;
            }
        }
    }

    /// <summary>Index of the entry that set the members that were saved last.</summary>
    public long Version
    {
        get
        {
            lock (_lock)
            {
                return _version;
            }
        }
    }

    /// <summary>Writes the first members of a log.</summary>
    /// <param name="path">Of the file.</param>
    /// <param name="members">They.</param>
    /// <param name="version">The entry that the log begins after.</param>
    public static void Found(string path, IEnumerable<EndPoint> members, long version = 0)
    {
        MemberSet founders = new(members);
        new MembershipFile(path, founders, version).Write(founders, version);
    }

    /// <summary>Reads the file.</summary>
    /// <exception cref="JournalException">There is none, or it is damaged.</exception>
    public static MembershipFile Read(string path)
    {
        if (!File.Exists(path))
        {
            throw new JournalException($"{path} is missing. This node's disk counts as wiped.");
        }

        ReadOnlySpan<byte> bytes = File.ReadAllBytes(path);
        if (bytes.Length < 16 || XxHash3.HashToUInt64(bytes[..^8]) != BinaryPrimitives.ReadUInt64LittleEndian(bytes[^8..]))
        {
            throw new JournalException($"{path} is damaged. This node's disk counts as wiped.");
        }

        return new MembershipFile(path, MemberSet.Decode(bytes[8..^8]), BinaryPrimitives.ReadInt64LittleEndian(bytes));
    }

    public ValueTask<IClusterConfiguration<EndPoint>> LoadConfigurationAsync(CancellationToken token = default)
    {
        lock (_lock)
        {
            return ValueTask.FromResult<IClusterConfiguration<EndPoint>>(_members);
        }
    }

    ValueTask<(IDataTransferObject Configuration, long Version)> IClusterConfigurationStorage.LoadConfigurationAsync(CancellationToken token)
    {
        lock (_lock)
        {
            return ValueTask.FromResult<(IDataTransferObject, long)>((_members, _version));
        }
    }

    public async ValueTask<bool> SaveConfigurationAsync<TConfiguration>(
        TConfiguration configuration, long configurationVersion, CancellationToken token = default)
        where TConfiguration : IDataTransferObject
    {
        if (!configuration.TryGetMemory(out ReadOnlyMemory<byte> bytes))
        {
            bytes = await configuration.ToByteArrayAsync(token: token);
        }

        MemberSet members = MemberSet.Decode(bytes.Span);
        lock (_lock)
        {
            if (configurationVersion <= _version)
            {
                return false;
            }

            Write(members, configurationVersion);
            _members = members;
            _version = configurationVersion;
        }

        if (ConfigurationChanged is { } handlers)
        {
            foreach (Func<IClusterConfiguration<EndPoint>, CancellationToken, ValueTask> handler in
                handlers.GetInvocationList().Cast<Func<IClusterConfiguration<EndPoint>, CancellationToken, ValueTask>>())
            {
                await handler(members, token);
            }
        }

        return true;
    }

    public void Dispose()
    {
    }

    private void Write(MemberSet members, long version)
    {
        members.TryGetMemory(out ReadOnlyMemory<byte> encoded);
        byte[] bytes = new byte[16 + encoded.Length];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, version);
        encoded.Span.CopyTo(bytes.AsSpan(8));
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(bytes.Length - 8), XxHash3.HashToUInt64(bytes.AsSpan(0, bytes.Length - 8)));
        DurableFile.Replace(_path, bytes);
    }
}
