using Quorumail.Server.CommandLine;

namespace Quorumail.Server.Tests.CommandLine;

/// <summary>Tables on terminals of some widths.</summary>
public sealed class ReportTests
{
    private const string Id = "06H0BRXC3E8ERBDD";
    private const string Sender = "<somebody@sender.example>";
    private const string Reply = "450 4.2.1 the mailbox is busy, and this reply is a long one that says so";

    [Theory]
    [InlineData(80)]
    [InlineData(100)]
    [InlineData(120)]
    public void Nothing_that_is_there_to_be_copied_is_cut_and_the_last_column_takes_what_is_left(int width)
    {
        var lines = Write(width, Sender, Reply);

        Assert.All(lines, line => Assert.True(line.Length <= width && !line.EndsWith(' '), line));
        Assert.StartsWith($"{Id}  retry", lines[1], StringComparison.Ordinal);
        Assert.Contains(Sender, lines[1], StringComparison.Ordinal);
        Assert.Equal(Reply, string.Join(' ', lines[1..].Select(line => line[(lines[0].IndexOf("why", StringComparison.Ordinal))..].Trim())));
    }

    [Fact]
    public void What_does_not_fit_is_one_line_that_the_terminal_breaks()
    {
        var lines = Write(80, $"<{new string('x', 60)}@sender.example>", Reply);

        Assert.Equal(2, lines.Length);
        Assert.StartsWith($"{Id}  retry", lines[1], StringComparison.Ordinal);
        Assert.EndsWith(Reply, lines[1], StringComparison.Ordinal);
    }

    private static string[] Write(int width, string sender, string reply)
    {
        using var output = new StringWriter();
        var table = Report.NewTable("id", "state", "from", "why");
        Report.AddRow(table, Id, "retry", sender, reply);
        Report.Write(table, output, width);
        return [.. output.ToString().TrimEnd('\n').Split('\n')];
    }
}
