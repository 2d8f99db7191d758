namespace Quorumail.EndToEnd.Cluster.State;

/// <summary>What became of a request.</summary>
/// <param name="Status">The answer's status; 0 if there was none.</param>
/// <param name="WasSent">Whether anything of it may have reached the server.</param>
internal sealed record HttpAnswer(int Status, bool WasSent)
{
    /// <summary>The answer's body.</summary>
    public ReadOnlyMemory<byte> Body { get; init; }

    /// <summary>The ETag, which is a version; 0 if there is none.</summary>
    public long Version { get; init; }

    /// <summary>The server's wall clock.</summary>
    public DateTimeOffset Date { get; init; }
}
