-- Written by records schema 2: rows in every table.
BEGIN TRANSACTION;
CREATE TABLE captures (
      capture_id TEXT PRIMARY KEY NOT NULL,
      exam_id TEXT NOT NULL REFERENCES exams,
      eye TEXT NOT NULL CHECK (eye IN ('R', 'L')),
      captured_at TEXT NOT NULL,
      x_um REAL NOT NULL,
      y_um REAL NOT NULL,
      z_um REAL NOT NULL,
      um_per_px REAL CHECK (um_per_px > 0),
      bits_stored INTEGER NOT NULL,
      rows INTEGER NOT NULL,
      columns INTEGER NOT NULL,
      sharpness REAL NOT NULL,
      simulated INTEGER NOT NULL CHECK (simulated IN (0, 1)),
      frame_sequence INTEGER NOT NULL,
      frame_monotonic_ns INTEGER NOT NULL,
      file TEXT NOT NULL,
      size INTEGER NOT NULL,
      sha256 TEXT NOT NULL
    ) STRICT
    ;
INSERT INTO "captures" VALUES('20260301T090000-L-798f855f','exam-1','L','2026-03-01T09:00:00.000+00:00',-18000.5,-20000.0,-19876.25,0.85,8,12,16,12.5,1,7,1007,'exams/exam-1/20260301T090000-L-798f855f.png',272,'080e5f467431c77e987d9a78941f1504ddb7d41c5d8468f674005e3e2de7f083');
CREATE TABLE deliveries (
      place INTEGER PRIMARY KEY,
      sop_instance_uid TEXT NOT NULL REFERENCES objects,
      node TEXT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('captured', 'queued', 'sending', 'stored', 'failed')),
      attempts INTEGER NOT NULL DEFAULT 0,
      status INTEGER,
      reason TEXT NOT NULL DEFAULT '',
      next_attempt_at TEXT NOT NULL DEFAULT '',
      changed_at TEXT NOT NULL,
      UNIQUE (sop_instance_uid, node),
      CHECK ((state = 'captured') = (node = '')),
      CHECK ((state = 'queued') = (next_attempt_at <> ''))
    ) STRICT
    ;
INSERT INTO "deliveries" VALUES(1,'1.2.3.4.1','storage','stored',1,0,'','','2026-03-01T09:00:04.000000+00:00');
INSERT INTO "deliveries" VALUES(2,'1.2.3.4.2','storage','failed',1,49152,'cannot understand','','2026-03-01T09:00:04.000000+00:00');
INSERT INTO "deliveries" VALUES(3,'1.2.3.4.3','storage','queued',0,NULL,'','2026-03-01T09:00:02.000000+00:00','2026-03-01T09:00:02.000000+00:00');
INSERT INTO "deliveries" VALUES(4,'1.2.3.4.4','','captured',0,NULL,'','','2026-03-01T09:00:03.000000+00:00');
CREATE TABLE exams (
      exam_id TEXT PRIMARY KEY NOT NULL,
      study_instance_uid TEXT NOT NULL,
      series_instance_uid TEXT NOT NULL,
      started_at TEXT NOT NULL,
      operator TEXT NOT NULL,
      patient_name TEXT NOT NULL,
      patient_id TEXT NOT NULL,
      issuer_of_patient_id TEXT NOT NULL,
      birth_date TEXT NOT NULL,
      sex TEXT NOT NULL,
      ethnic_group TEXT NOT NULL,
      weight_kg TEXT NOT NULL,
      finished_at TEXT NOT NULL DEFAULT ''
    , worklist_items TEXT NOT NULL DEFAULT '{"items":[]}', performed_procedure_step_id TEXT NOT NULL DEFAULT '', mpps_sop_instance_uid TEXT NOT NULL DEFAULT '', appended_to TEXT NOT NULL DEFAULT '', found_patient TEXT) STRICT
    ;
INSERT INTO "exams" VALUES('exam-1','1.2.3.1','1.2.3.1.1','2026-03-01T10:00:00+01:00','Dr. Ω','Yamada^Tarou=山田^太郎=やまだ^たろう','ID-1','clinic','19610203','M','','61.5','2026-03-01T09:00:04.000+00:00','{"items":[{"patient":{"name":"Yamada^Tarou=山田^太郎=やまだ^たろう","patient_id":"ID-1","issuer_of_patient_id":"clinic","birth_date":"19610203","sex":"M","ethnic_group":"","weight_kg":"61.5"},"study_instance_uid":"1.2.3","accession_number":"","requested_procedure_id":"","requested_procedure_description":"","requested_procedure_codes":[{"value":"1","scheme":"99X","meaning":"endothelium"}],"referenced_studies":[],"requesting_physician":"","referring_physician":"","current_patient_location":"","scheduled_station_ae_title":"","scheduled_start_date":"","scheduled_start_time":"","modality":"","scheduled_performing_physician":"","scheduled_procedure_step_description":"","scheduled_procedure_step_location":"","scheduled_procedure_step_id":"","scheduled_protocol_codes":[],"specific_character_set":["","ISO 2022 IR 87"],"problems":["birth date is not a date"]}]}','PPS1','1.2.9.1','',NULL);
INSERT INTO "exams" VALUES('exam-2','1.2.3.2','1.2.3.2.1','2026-03-01T10:00:00+01:00','Dr. Ω','Yamada^Tarou=山田^太郎=やまだ^たろう','ID-2','clinic','19610203','M','','61.5','','{"items":[]}','','','exam-1','{"patient":{"name":"Found^One"}}');
INSERT INTO "exams" VALUES('exam-3','1.2.3.3','1.2.3.3.1','2026-03-01T10:00:00+01:00','Dr. Ω','Yamada^Tarou=山田^太郎=やまだ^たろう','ID-3','clinic','19610203','M','','61.5','','{"items":[{"patient":{"name":"Yamada^Tarou=山田^太郎=やまだ^たろう","patient_id":"ID-3","issuer_of_patient_id":"clinic","birth_date":"19610203","sex":"M","ethnic_group":"","weight_kg":"61.5"},"study_instance_uid":"1.2.3","accession_number":"","requested_procedure_id":"","requested_procedure_description":"","requested_procedure_codes":[{"value":"1","scheme":"99X","meaning":"endothelium"}],"referenced_studies":[],"requesting_physician":"","referring_physician":"","current_patient_location":"","scheduled_station_ae_title":"","scheduled_start_date":"","scheduled_start_time":"","modality":"","scheduled_performing_physician":"","scheduled_procedure_step_description":"","scheduled_procedure_step_location":"","scheduled_procedure_step_id":"","scheduled_protocol_codes":[],"specific_character_set":["","ISO 2022 IR 87"],"problems":["birth date is not a date"]}]}','','','',NULL);
CREATE TABLE measurements (
      capture_id TEXT NOT NULL REFERENCES captures,
      revision INTEGER NOT NULL,
      saved_at TEXT NOT NULL,
      numbers TEXT NOT NULL,
      mosaic_file TEXT,
      mosaic_sha256 TEXT,
      PRIMARY KEY (capture_id, revision),
      CHECK ((mosaic_file IS NULL) = (mosaic_sha256 IS NULL))
    ) STRICT, WITHOUT ROWID
    ;
INSERT INTO "measurements" VALUES('20260301T090000-L-798f855f',1,'2026-03-01T09:00:00.000+00:00','{"quality":{"grade":"D","focus":0.1,"contrast":0.1,"exposure":0.1,"reasons":[]},"morphometry":null,"refusal":{"code":{"value":"114008","scheme":"DCM","meaning":"Calculation failure"},"reason":"dark"},"seconds":0.0}',NULL,NULL);
CREATE TABLE mpps_messages (
      place INTEGER PRIMARY KEY,
      mpps_sop_instance_uid TEXT NOT NULL,
      exam_id TEXT NOT NULL REFERENCES exams,
      node TEXT NOT NULL,
      operation TEXT NOT NULL CHECK (operation IN ('N-CREATE', 'N-SET')),
      step_status TEXT NOT NULL CHECK (step_status IN ('IN PROGRESS', 'COMPLETED', 'DISCONTINUED')),
      attributes BLOB NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'done', 'failed')),
      attempts INTEGER NOT NULL DEFAULT 0,
      in_doubt INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt IN (0, 1)),
      status INTEGER,
      reason TEXT NOT NULL DEFAULT '',
      next_attempt_at TEXT NOT NULL DEFAULT '',
      changed_at TEXT NOT NULL,
      UNIQUE (mpps_sop_instance_uid, node, operation),
      CHECK ((operation = 'N-CREATE') = (step_status = 'IN PROGRESS')),
      CHECK ((state = 'queued') = (next_attempt_at <> ''))
    ) STRICT
    ;
INSERT INTO "mpps_messages" VALUES(1,'1.2.9.1','exam-1','mpps','N-CREATE','IN PROGRESS',X'00FF01','done',1,0,0,'','','2026-03-01T09:00:04.000000+00:00');
INSERT INTO "mpps_messages" VALUES(2,'1.2.9.1','exam-1','mpps','N-SET','COMPLETED',X'08','queued',2,1,272,'busy','2026-03-01T09:00:04.000000+00:00','2026-03-01T09:00:04.000000+00:00');
CREATE TABLE objects (
      sop_instance_uid TEXT PRIMARY KEY NOT NULL,
      sop_class_uid TEXT NOT NULL,
      transfer_syntax_uid TEXT NOT NULL,
      exam_id TEXT NOT NULL REFERENCES exams,
      capture_id TEXT REFERENCES captures,
      kind TEXT NOT NULL,
      saved_at TEXT NOT NULL,
      file TEXT NOT NULL,
      size INTEGER NOT NULL,
      sha256 TEXT NOT NULL
    ) STRICT
    ;
INSERT INTO "objects" VALUES('1.2.3.4.1','1.2.840.10008.5.1.4.1.1.7','1.2.840.10008.1.2','exam-1','20260301T090000-L-798f855f','image','2026-03-01T09:00:00.000+00:00','exams/exam-1/1.2.3.4.1.dcm',110,'b6aae4c0b8d9e5431f34c00577768133f19da882bc01a5c08fa00f4b3814addb');
INSERT INTO "objects" VALUES('1.2.3.4.2','1.2.840.10008.5.1.4.1.1.7','1.2.840.10008.1.2','exam-1',NULL,'image','2026-03-01T09:00:01.000+00:00','exams/exam-1/1.2.3.4.2.dcm',110,'2e5bc3ca47b4bf1fa0542ae34edbee240d776b12be2b0b4270b73677a84ddf76');
INSERT INTO "objects" VALUES('1.2.3.4.3','1.2.840.10008.5.1.4.1.1.7','1.2.840.10008.1.2','exam-1',NULL,'image','2026-03-01T09:00:02.000+00:00','exams/exam-1/1.2.3.4.3.dcm',110,'29dbc2e1064fa1c6af36b62fc0034fce4d6e74678ac43936f93f65f0c3bc9bf6');
INSERT INTO "objects" VALUES('1.2.3.4.4','1.2.840.10008.5.1.4.1.1.7','1.2.840.10008.1.2','exam-1',NULL,'image','2026-03-01T09:00:03.000+00:00','exams/exam-1/1.2.3.4.4.dcm',110,'8d7bd4527a08285598417f45912bc835b187e648a4bec17a5eb35b6d62381694');
CREATE INDEX exams_unfinished ON exams (finished_at) WHERE finished_at = '';
CREATE INDEX captures_of_exam ON captures (exam_id);
CREATE INDEX objects_of_exam ON objects (exam_id);
CREATE INDEX deliveries_of_node ON deliveries (node, state);
CREATE INDEX deliveries_in_state ON deliveries (state);
CREATE INDEX mpps_messages_in_state ON mpps_messages (state, node);
CREATE INDEX mpps_messages_of_exam ON mpps_messages (exam_id);
PRAGMA user_version = 2;
COMMIT;
