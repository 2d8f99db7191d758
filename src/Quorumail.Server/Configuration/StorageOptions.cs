namespace Quorumail.Server.Configuration;

/// <summary><c>[storage]</c>: where mail is kept.</summary>
public sealed record StorageOptions
{
    /// <summary>The data directory; made if missing. Default: <c>data</c> below the working directory.</summary>
    [ConfigKey(IsRequired = true)]
    public string Path { get; init; } = "./data";

    /// <summary>Where the Maildirs of local recipients are. Default: <c>maildir</c> below <see cref="Path"/>.</summary>
    public string MaildirPath { get; init; } = "";

    /// <summary>That <see cref="MaildirPath"/> lies on storage common to all nodes of a cluster. Otherwise each has Maildirs of its own.</summary>
    public bool MaildirShared { get; init; }

    /// <summary>Free octets of the disk below which mail is refused with 452 4.3.1 while delivery goes on. Default 512 MB: ten messages of the largest size.</summary>
    [ConfigKey(IsByteSize = true, Minimum = 0, Maximum = 1L << 50)]
    public long MinFree { get; init; } = 512L << 20;

    /// <summary>The effective Maildir root.</summary>
    internal string EffectiveMaildirPath =>
        MaildirPath.Length > 0 ? MaildirPath : System.IO.Path.Combine(Path, "maildir");
}
