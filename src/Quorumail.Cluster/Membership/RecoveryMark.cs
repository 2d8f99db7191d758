using System.Globalization;
using System.Text;
using Quorumail.Cluster.Disk;
using Quorumail.Cluster.Journal;

namespace Quorumail.Cluster.Membership;

/// <summary>
/// Says that founding a new cluster from a disk has begun and not ended, and keeps what the report needs: meanwhile the disk
/// fits neither the old cluster nor the new one, and no node may start on it. The file, UTF-8: a line with its version, one
/// with the number of uncertain entries, and one for each former member.
/// </summary>
/// <param name="Uncertain">See <see cref="RecoveryReport.Uncertain"/>.</param>
/// <param name="FormerMembers">See <see cref="RecoveryReport.FormerMembers"/>.</param>
internal sealed record RecoveryMark(long Uncertain, IReadOnlyList<string> FormerMembers)
{
    private const string Version = "recovery 1";

    /// <summary>Reads the file; nothing if there is none.</summary>
    /// <param name="directory">Of the log.</param>
    /// <exception cref="JournalException">It is damaged, or of a version that this program does not read.</exception>
    public static RecoveryMark? Read(string directory)
    {
        string path = PathIn(directory);
        if (!File.Exists(path))
        {
            return null;
        }

        string[] lines = File.ReadAllLines(path);
        return lines.Length >= 2 && string.Equals(lines[0], Version, StringComparison.Ordinal)
            && long.TryParse(lines[1], NumberStyles.None, CultureInfo.InvariantCulture, out long uncertain)
            ? new RecoveryMark(uncertain, lines[2..])
            : throw new JournalException($"{path} is damaged or of a version that this program does not read.");
    }

    /// <summary>Replaces the file, durably.</summary>
    public void Write(string directory)
    {
        string[] lines = [Version, Uncertain.ToString(CultureInfo.InvariantCulture), .. FormerMembers];
        DurableFile.Replace(PathIn(directory), Encoding.UTF8.GetBytes(string.Join('\n', lines) + "\n"));
    }

    /// <summary>The new cluster is founded.</summary>
    public static void Delete(string directory)
    {
        File.Delete(PathIn(directory));
        Fsync.Directory(directory);
    }

    private static string PathIn(string directory) => Path.Combine(directory, "recovery");
}
