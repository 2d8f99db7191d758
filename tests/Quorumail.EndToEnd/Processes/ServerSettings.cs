using System.Globalization;
using System.Text;
using Quorumail.Server.Demo;

namespace Quorumail.EndToEnd.Processes;

/// <summary>What a test asks of the server's configuration; becomes a config.toml.</summary>
internal sealed record ServerSettings
{
    /// <summary>Port of the SMTP listener.</summary>
    public int SmtpPort { get; init; } = FreePort.Take();

    /// <summary>Port of the HTTP listener.</summary>
    public int HttpPort { get; init; } = FreePort.Take();

    /// <summary>Our name.</summary>
    public string Hostname { get; init; } = "mail.example.test";

    /// <summary>Further lines of [server], such as <c>trusted_networks = ["127.0.0.0/8"]</c>.</summary>
    public IReadOnlyList<string> ServerLines { get; init; } = [];

    /// <summary>Further lines of [storage].</summary>
    public IReadOnlyList<string> StorageLines { get; init; } = [];

    /// <summary>Lines of any other table, verbatim, after the tables above.</summary>
    public string Tables { get; init; } = "";

    /// <summary>Where the server keeps its data; null: a directory beside its configuration.</summary>
    public string? DataDirectory { get; init; }

    /// <summary>Lets clients of this machine relay anywhere.</summary>
    public ServerSettings Trusting() => this with { ServerLines = [.. ServerLines, "trusted_networks = [\"127.0.0.0/8\"]"] };

    /// <summary>Sends what matches <paramref name="match"/> to a next hop on loopback.</summary>
    public ServerSettings RoutedTo(int port, string match = "*", string transport = "smtp") => this with
    {
        Tables = Tables + string.Create(
            CultureInfo.InvariantCulture,
            $"[[routes]]\nmatch = \"{match}\"\ntransport = \"{transport}\"\nhost = \"127.0.0.1\"\nport = {port}\n"),
    };

    /// <summary>Tries again quickly, so that a test need not wait minutes.</summary>
    public ServerSettings Retrying(string schedule = "\"1s\"") => this with { Tables = Tables + $"[queue]\nretry_schedule = [{schedule}]\n" };

    /// <summary>The file's text.</summary>
    public string ToToml(string dataDirectory)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"[server]\nhost = \"127.0.0.1\"\nport = {SmtpPort}\nhostname = \"{Hostname}\"\n");
        foreach (var line in ServerLines)
        {
            text.Append(line).Append('\n');
        }

        text.Append(CultureInfo.InvariantCulture, $"[storage]\npath = \"{DataDirectory ?? dataDirectory}\"\n");
        foreach (var line in StorageLines)
        {
            text.Append(line).Append('\n');
        }

        text.Append(CultureInfo.InvariantCulture, $"[http]\nport = {HttpPort}\n");
        return text.Append(Tables).ToString();
    }
}
