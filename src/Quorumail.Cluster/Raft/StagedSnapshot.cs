using DotNext.IO;
using DotNext.IO.Log;
using DotNext.Net.Cluster.Consensus.Raft;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// A snapshot that has been received whole, in a file, before the engine hears of it: the engine lets nobody vote while it
/// installs one. With it the members that its leader went by, and the entry that set them.
/// </summary>
internal sealed class StagedSnapshot(FileStream file, long term, MemberSet members, long membersVersion) : IRaftLogEntry
{
    public long Term => term;

    public long? Length => file.Length;

    public bool IsReusable => true;

    /// <summary>The file.</summary>
    public FileStream File => file;

    /// <summary>The members that come with it.</summary>
    public MemberSet Members => members;

    /// <summary>Index of the entry that set them.</summary>
    public long MembersVersion => membersVersion;

    bool ILogEntry.IsSnapshot => true;

    /// <summary>Where a snapshot is staged; a start finds it there if the installation was interrupted.</summary>
    public static string PathIn(string voteDirectory) => Path.Combine(voteDirectory, "incoming.snapshot");

    /// <summary>Creates the file, or empties it.</summary>
    public static FileStream Create(string path) => new(
        path, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.ReadWrite, Options = FileOptions.Asynchronous });

    public ValueTask WriteToAsync<TWriter>(TWriter writer, CancellationToken token)
        where TWriter : IAsyncBinaryWriter
    {
        file.Position = 0;
        return writer.CopyFromAsync(file, token: token);
    }
}
