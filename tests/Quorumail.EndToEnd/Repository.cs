namespace Quorumail.EndToEnd;

/// <summary>Where things are in the working copy that these tests were built from.</summary>
internal static class Repository
{
    /// <summary>The folder that holds Quorumail.slnx.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>This project's own folder: scripts and corpus.</summary>
    public static string Tests { get; } = Path.Combine(Root, "tests", "Quorumail.EndToEnd");

    private static string FindRoot()
    {
        for (var at = AppContext.BaseDirectory; at is not null; at = Path.GetDirectoryName(at.TrimEnd('/')))
        {
            if (File.Exists(Path.Combine(at, "Quorumail.slnx")))
            {
                return at;
            }
        }

        throw new InvalidOperationException($"No Quorumail.slnx above {AppContext.BaseDirectory}.");
    }
}
