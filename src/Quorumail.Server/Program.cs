using Quorumail.Server.CommandLine;

return await SmtpServerCommand.InvokeAsync(args);
