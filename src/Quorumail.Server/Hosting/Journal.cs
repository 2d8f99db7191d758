namespace Quorumail.Server.Hosting;

/// <summary>Whether standard output is the journal of systemd (systemd.exec(5), JOURNAL_STREAM).</summary>
internal static class Journal
{
    /// <summary>True if it is: lines then carry their priority and no time.</summary>
    public static bool IsStandardOutput(string? journalStream)
    {
        var inode = journalStream?.Split(':') is [_, { Length: > 0 } number] ? number : null;
        if (inode is null)
        {
            return false;
        }

        try
        {
            // The variable is inherited; only the inode tells whether our own output still is that stream.
            return File.ResolveLinkTarget("/proc/self/fd/1", returnFinalTarget: false) is { } target
                && target.FullName.EndsWith($"socket:[{inode}]", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }
}
